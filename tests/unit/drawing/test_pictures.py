"""The three ways in which a picture is written down: SVG, page, text."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.unit.drawing.documents import NOW, Server, node, pipeline_step, step

from lazulite.drawing import page, state, svg, tree
from lazulite.drawing.state import Picture

EVIL = "<script>alert(1)</script>\x1b[2J\u202e\x00\"'&"
SVG = "{http://www.w3.org/2000/svg}"


def picture(**more: Any) -> Picture:
    server = Server(
        {
            "p": {
                "load": node(),
                "sub": {**node("load"), "type": "pipeline"},
                "train": node("sub"),
                "end": node("train"),
            },
            "run-sub": {"x": node()},
        },
        {
            "p": [step("load"), pipeline_step("sub"), step("train", "Failed", "The disk is full.")],
            "run-sub": [step("x", **{"azureml.isreused": "true", "azureml.reusedrunid": "old"})],
        },
        **{"status": "Failed", **more},
    )
    return state.read(server, "p")


def evil() -> Picture:
    server = Server({"p": {EVIL: node(component=EVIL)}}, {"p": [step(EVIL, "Failed", EVIL)]}, error=EVIL)
    found = state.read(server, "p")
    found.title = found.experiment = EVIL
    return found


def texts(written: str) -> list[str]:
    return ["".join(one.itertext()) for one in ElementTree.fromstring(written).iter(f"{SVG}text")]


def test_the_svg_says_what_each_step_is_in_words() -> None:
    said = texts(svg.draw(picture(), NOW))
    assert "failed — 4 steps: 1 failed · 1 not run · 2 completed" in said
    assert "train: The disk is full." in said
    for expected in ("load", "completed · 30 s", "completed · reused", "not run", "failed · 30 s", "x"):
        assert expected in said, expected
    assert any(line.startswith("pipeline · completed") for line in said)


def test_the_svg_needs_nothing_from_elsewhere() -> None:
    written = svg.draw(picture(), NOW)
    tags = {one.tag.removeprefix(SVG) for one in ElementTree.fromstring(written).iter()}
    assert tags == {"svg", "title", "style", "rect", "g", "circle", "path", "text", "tspan"}
    assert not re.search(r"href|url\(|@import|src=| on\w+=", written)
    assert "prefers-color-scheme:dark" in written


@pytest.mark.parametrize("write", [svg.draw, page.write])
def test_what_users_wrote_stays_text(write: Any) -> None:
    written = write(evil(), NOW)
    assert "<script" not in written
    assert not re.search("[\x00-\x08\x1b\u202e]", written)
    if write is svg.draw:
        assert any("<script>alert(1)</script>" in text for text in texts(written))


def test_everything_is_inside_the_picture() -> None:
    root = ElementTree.fromstring(svg.draw(picture(), NOW))
    for group in root.findall(f"{SVG}g"):
        x, y = map(float, re.findall(r"[\d.-]+", group.attrib["transform"])[:2])
        assert 0 <= x < float(root.attrib["width"])
        assert 0 <= y < float(root.attrib["height"])


@pytest.mark.parametrize("text", ["x" * 1_000_000, "no column " * 100_000])
def test_what_has_no_end_is_cut(text: str) -> None:
    server = Server({"p": {"a": node()}}, {"p": [step("a", "Failed", f"Execution failed.\nError: {text}")]}, error=text)
    found = state.read(server, "p")
    found.title = text
    assert all(len(one) < 400 for one in texts(svg.draw(found, NOW)))


def test_long_names_keep_their_ends_and_long_errors_have_the_width_of_the_picture() -> None:
    nodes = {f"{'a_long_name_' * 4}{n}": node(component=str(n)) for n in range(8)}
    failed = next(iter(nodes))
    error = "ValueError: " + "something is wrong here " * 6
    server = Server({"p": nodes}, {"p": [step(failed, "Failed", error)]})
    said = texts(svg.draw(state.read(server, "p"), NOW))
    names = [line for line in said if line.startswith("a_long_name") and line[-1].isdigit()]
    assert len(set(names)) == 8
    assert all("…" in name for name in names)
    assert f"{failed}: {error.strip()}" in said


def test_the_page_names_the_commands_for_what_failed() -> None:
    written = page.write(picture(), NOW, " --home /h")
    assert "lazulite job debug p --node train --home /h\nlazulite job rerun p --home /h" in written
    assert "http-equiv" not in written


def test_a_job_that_is_no_pipeline_is_stepped_into_by_its_own_name() -> None:
    class Alone(Server):
        def job(self, name: str) -> dict[str, Any]:
            return {"jobType": "Command"}

    found = state.read(Alone({}, status="Failed", error="KeyError: 1"), "p")
    assert page.next_commands(found, " --home /h") == [
        "lazulite job debug p --home /h",
        "lazulite job rerun p --home /h",
    ]
    assert "1 step: 1 failed" in tree.write(found, NOW)[1]


def test_what_to_type_after_a_job_that_was_cancelled() -> None:
    found = state.read(Server({"p": {"a": node()}}, {"p": [step("a", "Canceled")]}, status="Canceled"), "p")
    assert page.next_commands(found)[-1] == "lazulite job rerun p"


def test_the_page_loads_itself_again_while_the_job_runs() -> None:
    assert '<meta http-equiv="refresh" content="3">' in page.write(picture(status="Running"), NOW)


def test_the_tree() -> None:
    lines = tree.write(picture(), NOW)
    assert lines[0] == "✗ p  failed · 30 s"
    assert "4 steps: 1 failed · 1 not run · 2 completed" in lines[1]
    assert lines[3:] == [
        "✓ load   completed · 30 s",
        "✓ sub    completed · 30 s · after load",
        "  ✓ x    completed · reused",
        "✗ train  failed · 30 s · after sub",
        "    The disk is full.",
        "- end    not run · after train",
    ]


def test_the_tree_of_a_terminal_without_unicode_and_with_few_columns() -> None:
    lines = tree.write(picture(), NOW, width=30, unicode=False)
    assert all(line.isascii() and len(line) <= 30 for line in lines)
    assert "x train  failed, 30 s, after ~" not in lines[0]
    assert any(line.startswith("x train  failed, 30 s") for line in lines)


def test_a_terminal_is_sent_nothing_that_it_obeys() -> None:
    assert not re.search("[\x00-\x08\x1b\u202e]", "".join(tree.write(evil(), NOW)))
    coloured = "".join(tree.write(evil(), NOW, colour=True))
    assert set(re.findall("\x1b.{0,2}", coloured)) <= {"\x1b[0", "\x1b[1", "\x1b[3", "\x1b[2"}
    assert "\x1b[2J" not in coloured


def test_the_error_of_a_pipeline_that_no_step_explains() -> None:
    server = Server({"p": {"a": node()}}, {"p": [step("a")]}, status="Failed", error="The output is not there.")
    found = state.read(server, "p")
    assert tree.write(found, NOW)[-1] == "✗ The output is not there."
    assert "The output is not there." in texts(svg.draw(found, NOW))
