"""Choices and loops made plain: steps, skipped nodes, decisions and ends."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.pipelines.plain import decide

from lazulite.core.errors import ApiError
from lazulite.engine.pipelines.progress import Needs
from lazulite.engine.pipelines.unfold import Unfolded, Unfolding, order
from lazulite.model import pipeline_flow as flow
from lazulite.model import pipeline_graph as graph
from lazulite.model.job_status import JobState
from lazulite.model.pipeline_flow import Source
from lazulite.model.pipeline_graph import InputOf, OutputOf

S = JobState


def ref(name: str) -> str:
    return f"${{{{parent.{name}}}}}"


CHOICE: dict[str, Any] = {
    "tell": {},
    "if": {
        "type": "if_else",
        "condition": ref("jobs.tell.outputs.ok"),
        "true_block": ref("jobs.yes"),
        "false_block": [ref("jobs.no")],
    },
    "yes": {},
    "no": {},
    "after_yes": {"in": ref("jobs.yes.outputs.x")},
    "either": {"in": ref("jobs.no.outputs.x")},
}
LOOP: dict[str, Any] = {
    "first": {},
    "body": {"in": ref("jobs.first.outputs.x")},
    "while": {
        "type": "do_while",
        "body": ref("jobs.body"),
        "condition": "go",
        "mapping": {"x": ["a"]},
        "limits": {"max_iteration_count": 3},
    },
    "after": {"in": ref("jobs.body.outputs.x")},
}
SPREAD: dict[str, Any] = {
    "body": {},
    "for": {
        "type": "parallel_for",
        "body": ref("jobs.body"),
        "items": '[{"a": 1}, {"a": 2}, {"a": 3}]',
        "max_concurrency": 2,
    },
    "after": {"in": ref("jobs.for.outputs.x")},
}


def needs_of(nodes: dict[str, Any], soft: dict[str, str] | None = None) -> dict[str, Needs]:
    """What nodes wait for, as it is pinned when a pipeline is submitted."""
    what, found = flow.read(nodes), {}
    for name, sent in nodes.items():
        wanted = {needed for other in graph.needs(sent) - what.ran_by(name) for needed in what.producers(other)}
        found[name] = Needs(frozenset(wanted | what.orders(name)), frozenset((soft or {}).get(name, "").split()))
    return found


def unfolded(
    nodes: dict[str, Any],
    states: dict[str, JobState],
    values: dict[Any, str] | None = None,
    soft: dict[str, str] | None = None,
) -> Unfolded:
    what, needs = flow.read(nodes), needs_of(nodes, soft)

    def look(source: Source, step: str | None) -> str:
        key = (step, source.name) if isinstance(source, OutputOf) else source.name
        if key not in (values or {}):
            raise ApiError(400, "ValueMissing", f"There is no value for {key}.")
        return (values or {})[key]

    made = Unfolding(needs, what)
    for step, state in states.items():
        made.learn(step, state)
    made.settle(look)
    return made.found


def following(found: Unfolded, keep_going: bool = False) -> tuple[tuple[str, ...], JobState | None]:
    step = decide(found.needs, found.states, cancel=False, keep_going=keep_going)
    return step.create, step.ending


def test_order_follows_the_needs() -> None:
    needs = {"c": Needs(frozenset("ab")), "b": Needs(frozenset("a")), "a": Needs(frozenset())}
    assert order(needs) == ("a", "b", "c")


def test_a_choice_waits_for_its_condition() -> None:
    assert following(unfolded(CHOICE, {})) == (("tell",), None)
    assert following(unfolded(CHOICE, {"tell": S.RUNNING})) == ((), None)


@pytest.mark.parametrize(
    ("value", "ready", "skipped"),
    [
        ("True", ("yes",), {"no": "the condition of 'if' is true", "either": "'no' is skipped"}),
        ("false", ("no",), {"yes": "the condition of 'if' is false", "after_yes": "'yes' is skipped"}),
    ],
)
def test_one_block_runs_and_the_other_is_skipped(value: str, ready: tuple[str], skipped: dict[str, str]) -> None:
    found = unfolded(CHOICE, {"tell": S.COMPLETED}, {("tell", "ok"): value})
    assert (following(found)[0], found.skipped) == (ready, skipped)
    whole = unfolded(
        CHOICE,
        dict.fromkeys(("tell", ready[0], "after_yes" if ready[0] == "yes" else "either"), S.COMPLETED),
        {("tell", "ok"): value},
    )
    assert following(whole) == ((), S.COMPLETED)


def test_an_optional_input_from_a_skipped_node() -> None:
    found = unfolded(
        CHOICE, dict.fromkeys(("tell", "yes"), S.COMPLETED), {("tell", "ok"): "true"}, soft={"either": "no"}
    )
    assert "either" in following(found)[0]


@pytest.mark.parametrize("value", [None, "maybe"])
def test_a_condition_without_a_proper_value_fails_the_pipeline(value: str | None) -> None:
    found = unfolded(CHOICE, {"tell": S.COMPLETED}, {("tell", "ok"): value} if value else {})
    assert following(found) == ((), S.FAILED)
    assert list(found.errors) == ["if"]


def test_choices_by_constants_inputs_and_in_each_other() -> None:
    nodes: dict[str, Any] = {
        "outer": {"type": "if_else", "condition": True, "true_block": [ref("jobs.inner"), ref("jobs.a")]},
        "inner": {"type": "if_else", "condition": ref("inputs.flag"), "true_block": ref("jobs.b")},
        "a": {},
        "b": {},
    }
    assert following(unfolded(nodes, {}, {"flag": "true"}))[0] == ("a", "b")
    assert unfolded(nodes, {}, {"flag": "false"}).skipped == {"b": "the condition of 'inner' is false"}
    nodes["outer"]["condition"] = "False"
    assert following(unfolded(nodes, {})) == ((), S.COMPLETED)
    assert set(unfolded(nodes, {}).skipped) == {"inner", "a", "b"}


def test_a_loop_runs_its_body_until_the_condition_is_false() -> None:
    done = {"first": S.COMPLETED}
    assert following(unfolded(LOOP, {}))[0] == ("first",)
    assert following(unfolded(LOOP, done))[0] == ("body[0]",)
    done["body[0]"] = S.COMPLETED
    assert following(unfolded(LOOP, done, {("body[0]", "go"): "true"}))[0] == ("body[1]",)
    done["body[1]"] = S.RUNNING
    assert following(unfolded(LOOP, done, {("body[0]", "go"): "true"})) == ((), None)
    done["body[1]"] = S.COMPLETED
    found = unfolded(LOOP, done, {("body[0]", "go"): "true", ("body[1]", "go"): "False"})
    assert (following(found)[0], found.last) == (("after",), {"body": "body[1]"})


def test_a_loop_ends_at_its_limit() -> None:
    done = dict.fromkeys(("first", "body[0]", "body[1]", "body[2]"), S.COMPLETED)
    values = {(f"body[{n}]", "go"): "true" for n in range(3)}
    assert following(unfolded(LOOP, done, values))[0] == ("after",)


def test_a_loop_without_a_condition_runs_to_its_limit() -> None:
    nodes = {**LOOP, "while": {k: v for k, v in LOOP["while"].items() if k != "condition"}}
    assert following(unfolded(nodes, dict.fromkeys(("first", "body[0]"), S.COMPLETED)))[0] == ("body[1]",)


@pytest.mark.parametrize("ending", [S.FAILED, S.CANCELED])
def test_a_loop_ends_with_a_step_that_did_not_complete(ending: JobState) -> None:
    found = unfolded(LOOP, {"first": S.COMPLETED, "body[0]": ending})
    assert following(found) == ((), S.FAILED)
    assert following(found, keep_going=True) == ((), S.FAILED)


def test_a_loop_whose_condition_has_no_value_fails() -> None:
    found = unfolded(LOOP, dict.fromkeys(("first", "body[0]"), S.COMPLETED))
    assert following(found) == ((), S.FAILED)
    assert list(found.errors) == ["while"]


def test_a_loop_over_items_keeps_to_its_concurrency() -> None:
    assert following(unfolded(SPREAD, {}))[0] == ("body[0]", "body[1]")
    assert following(unfolded(SPREAD, {"body[0]": S.RUNNING, "body[1]": S.RUNNING}))[0] == ()
    assert following(unfolded(SPREAD, {"body[0]": S.RUNNING, "body[1]": S.COMPLETED}))[0] == ("body[2]",)
    done = dict.fromkeys(("body[0]", "body[1]", "body[2]"), S.COMPLETED)
    found = unfolded(SPREAD, done)
    assert (following(found)[0], found.gathered) == (("after",), {"for": ("body[0]", "body[1]", "body[2]")})
    assert following(unfolded(SPREAD, {**done, "after": S.COMPLETED})) == ((), S.COMPLETED)


def test_a_failed_item_lets_the_others_go_on_where_the_pipeline_does() -> None:
    states = {"body[0]": S.FAILED, "body[1]": S.RUNNING}
    assert following(unfolded(SPREAD, states))[0] == ()
    assert following(unfolded(SPREAD, states), keep_going=True)[0] == ("body[2]",)
    over = {"body[0]": S.FAILED, "body[1]": S.COMPLETED, "body[2]": S.COMPLETED}
    assert following(unfolded(SPREAD, over), keep_going=True) == ((), S.FAILED)


@pytest.mark.parametrize(
    ("text", "ready", "error"),
    [
        ('{"x": {"a": 1}, "y": {"a": 2}}', ("body[0]", "body[1]"), None),
        ("[]", ("after",), None),
        ("[1]", (), "must be a list or an object of objects"),
        ("nonsense", (), "is no JSON"),
        ('[{"a": 1}, {"b": 1}]', (), "the same inputs"),
    ],
)
def test_items_that_come_when_the_pipeline_runs(text: str, ready: tuple[str], error: str | None) -> None:
    nodes = {**SPREAD, "for": {**SPREAD["for"], "items": ref("inputs.items")}}
    found = unfolded(nodes, {}, {"items": text})
    assert following(found)[0] == ready
    if error:
        assert error in found.errors["for"]


@pytest.mark.parametrize(
    ("other", "soft", "ready"),
    [
        (None, "", ("other",)),
        (S.RUNNING, "", ()),
        (S.COMPLETED, "", ("after",)),
        (S.FAILED, "", ()),
        (S.FAILED, "other", ("after",)),
    ],
)
def test_a_loop_without_items_waits_for_what_its_steps_would_need(
    other: JobState | None, soft: str, ready: tuple[str, ...]
) -> None:
    body = {"in": ref("jobs.other.outputs.x")}
    nodes = {"other": {}, **SPREAD, "for": {**SPREAD["for"], "items": ref("inputs.items")}, "body": body}
    states = {} if other is None else {"other": other}
    found = unfolded(nodes, states, {"items": "[]"}, {"body": soft})
    assert following(found, keep_going=True)[0] == ready


def test_a_loop_in_a_block_of_a_choice() -> None:
    nodes = {
        "if": {"type": "if_else", "condition": False, "true_block": ref("jobs.for")},
        **SPREAD,
    }
    found = unfolded(nodes, {})
    assert set(found.skipped) == {"for", "body", "after"}
    assert following(found) == ((), S.COMPLETED)


def test_references_are_of_two_kinds() -> None:
    assert flow.read(CHOICE).controls["if"].condition == OutputOf("tell", "ok")  # type: ignore[union-attr]
    nodes = {"if": {"type": "if_else", "condition": ref("inputs.a"), "true_block": ref("jobs.b")}}
    assert flow.read(nodes).controls["if"].condition == InputOf("a")  # type: ignore[union-attr]
