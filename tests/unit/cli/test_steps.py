import argparse
from typing import Any

import pytest

from lazulite.cli import steps
from lazulite.cli.errors import CommandError

SERVER: Any = object()
USUAL = {
    "home": None,
    "workspace": "mlw-default",
    "group": "rg-lazulite",
    "subscription": "00000000-0000-0000-0000-000000000001",
}


def arguments(**more: Any) -> argparse.Namespace:
    return argparse.Namespace(**{**USUAL, "name": "p", "node": None, **more})


def child(name: str, status: str = "Completed", **properties: str) -> dict[str, Any]:
    return {"runId": f"run-{name}", "status": status, "properties": {"azureml.nodeid": name, **properties}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were asked for; `p` has 2500 steps on three pages, `sub` among them has one."""
    pages = {
        "runs/p/children?$top=1000": ([child(f"a{n}") for n in range(1000)], "1000"),
        "runs/p/children?$top=1000&$continuationtoken=1000": (
            [child(f"b{n}") for n in range(999)] + [child("sub", "Failed")],
            "2000",
        ),
        "runs/p/children?$top=1000&$continuationtoken=2000": ([child(f"body[{n}]") for n in range(500)], None),
        "runs/run-sub/children?$top=1000": ([child("x y", "Failed", **{"azureml.reusedrunid": "earlier"})], None),
    }
    paths: list[str] = []

    def call(_server: Any, _method: str, path: str) -> dict[str, Any]:
        paths.append(path)
        if "/jobs/" in path:
            return {"properties": {"jobs": {name: {} for name in ("a1", "sub", "late", "body")}}}
        value, token = pages[path.split("/mlw-default/")[1]]
        return {"value": value, "continuationToken": token}

    monkeypatch.setattr(steps, "call", call)
    return paths


def test_all_children_are_read_a_thousand_at_a_time(asked: list[str]) -> None:
    assert len(steps.children(SERVER, arguments(), "p")) == 2500
    assert len(asked) == 3


def test_a_step_is_found_by_its_path_and_stands_for_the_run_it_reuses(asked: list[str]) -> None:
    assert steps.named(SERVER, arguments()) == "p"
    assert steps.named(SERVER, arguments(node="b7")) == "run-b7"
    assert steps.named(SERVER, arguments(node="sub/x y")) == "earlier"
    with pytest.raises(CommandError) as error:
        steps.named(SERVER, arguments(node="z"))
    assert error.value.hint.endswith("and 2480 more")


@pytest.mark.parametrize(
    ("name", "why", "hint"),
    [
        ("z", "'p' has no step 'z'", "it has: a0, a1, a2"),
        ("late", "'late' has no job: it did not run, or runs nothing itself", "'p' has: a0, a1, a2"),
        ("body", "'body' is what a loop runs again and again", "name one of: body[0], body[1], body[2]"),
    ],
)
def test_why_there_is_no_such_step(asked: list[str], name: str, why: str, hint: str) -> None:
    with pytest.raises(CommandError) as error:
        steps.named(SERVER, arguments(node=name))
    assert error.value.message == why
    assert error.value.hint.startswith(hint)


def test_the_hint_is_a_command_to_type(asked: list[str]) -> None:
    found = steps.hint(SERVER, arguments(), "p")
    assert found.endswith("failed: sub\n  -> `lazulite job debug p --node sub`")
    inside = steps.hint(SERVER, arguments(node="sub", home="/h o"), "run-sub")
    assert inside.endswith("-> `lazulite job debug p --node 'sub/x y' --home '/h o'`")


def test_only_what_is_not_usual_must_be_typed() -> None:
    assert steps.options(arguments()) == ""
    assert steps.options(arguments(workspace="w", group="g")) == " --workspace w --group g"
