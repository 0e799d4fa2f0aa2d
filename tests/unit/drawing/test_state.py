from typing import Any

from tests.unit.drawing.documents import Server, node, pipeline_step, run, step

from lazulite.drawing import state
from lazulite.drawing.fold import fold
from lazulite.drawing.state import Edge

TRACEBACK = (
    "Execution failed. The user's process exited with status code 1. Please check log file 'user_logs/std_log.txt' for "
    'error details.\nError: Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no column'
)


def test_nodes_have_the_states_of_their_runs_and_what_they_wait_for() -> None:
    server = Server(
        {"p": {"b": node("a"), "a": node(), "c": node("b", "a")}},
        {"p": [step("a"), step("b", "Failed", TRACEBACK)]},
        status="Running",
    )
    graph = state.read(server, "p").graph
    assert list(graph.nodes) == ["a", "b", "c"]
    assert [one.state for one in graph.nodes.values()] == ["Completed", "Failed", "NotStarted"]
    assert graph.nodes["b"].error == "ValueError: no column"
    assert graph.nodes["b"].component == "step"
    assert graph.nodes["c"].needs == [Edge("b", "made"), Edge("a", "made")]
    assert [path for path, _ in graph.failed()] == ["b"]


def test_what_the_end_of_the_pipeline_kept_from_running() -> None:
    server = Server({"p": {"a": node(), "b": node("a")}}, {"p": [step("a", "Failed")]}, status="Failed")
    picture = state.read(server, "p")
    assert picture.graph.nodes["b"].state == "NotRun"
    assert picture.tally() == {"Failed": 1, "NotRun": 1}
    assert picture.over


def test_the_last_attempt_counts_and_reused_steps_are_known() -> None:
    server = Server(
        {"p": {"a": node(), "b": node()}},
        {
            "p": [
                step("a", "Failed"),
                step("a"),
                step("b", **{"azureml.isreused": "true", "azureml.reusedrunid": "old"}),
            ]
        },
    )
    nodes = state.read(server, "p").graph.nodes
    assert nodes["a"].state == "Completed"
    assert nodes["b"].reused
    assert not nodes["a"].reused


def nested() -> Server:
    inner = {"x": node(), "y": node("x")}
    return Server(
        {"p": {"a": node(), "sub": {**node("a"), "type": "pipeline"}}, "run-sub": inner, "deep": {}},
        {"p": [step("a"), pipeline_step("sub", "Failed")], "run-sub": [step("x"), step("y", "Failed")]},
    )


def test_pipelines_are_opened_to_a_depth() -> None:
    closed = state.read(nested(), "p", 0).graph.nodes["sub"]
    assert closed.inner is None
    opened = state.read(nested(), "p", 1)
    assert opened.tally() == {"Failed": 1, "Completed": 2}
    assert [path for path, _ in opened.graph.failed()] == ["sub/y"]


def test_so_many_pipelines_are_opened_and_no_more() -> None:
    names = [f"s{n}" for n in range(200)]
    server = Server(
        {
            "p": {name: {**node(), "type": "pipeline"} for name in names},
            **{f"run-{name}": {"x": node()} for name in names},
        },
        {"p": [pipeline_step(name) for name in names], **{f"run-{name}": [step("x")] for name in names}},
    )
    graph = state.read(server, "p", 3).graph
    assert sum(one.inner is not None for one in graph.nodes.values()) == 40
    assert len(server.asked) == 41


def test_a_pipeline_that_was_reused_shows_the_steps_of_the_one_that_ran() -> None:
    reused = pipeline_step("sub")
    reused["properties"] |= {"azureml.isreused": "true", "azureml.reusedrunid": "earlier"}
    server = Server(
        {"p": {"sub": {**node(), "type": "pipeline"}}, "earlier": {"x": node()}},
        {"p": [reused], "earlier": [step("x")]},
    )
    sub = state.read(server, "p").graph.nodes["sub"]
    assert sub.reused
    assert sub.inner is not None
    assert list(sub.inner.nodes) == ["x"]


def loops() -> dict[str, Any]:
    return {
        "make": node(),
        "body": node("make"),
        "again": {
            "type": "do_while",
            "body": "${{parent.jobs.body}}",
            "condition": "${{parent.jobs.body.outputs.more}}",
            "mapping": {},
            "limits": {"max_iteration_count": 5},
        },
        "after": node("body"),
    }


def test_a_loop_stands_for_its_body_and_holds_the_iterations() -> None:
    server = Server({"p": loops()}, {"p": [step("make"), step("body[0]"), step("body[1]", "Failed", "bad")]})
    graph = state.read(server, "p").graph
    assert list(graph.nodes) == ["make", "again", "after"]
    loop = graph.nodes["again"]
    assert (loop.state, loop.kind, loop.note) == (
        "Failed", "do_while", "while its output more is true, at most 5 times"
    )  # fmt: skip
    assert loop.inner is not None
    assert loop.inner.nodes["body[1]"].needs == [Edge("body[0]", control=True)]
    assert graph.nodes["after"].needs == [Edge("again", "made")]
    assert [path for path, _ in graph.failed()] == ["body[1]"]


def test_a_loop_that_has_not_begun_has_nothing_inside() -> None:
    loop = state.read(Server({"p": loops()}, status="Running"), "p").graph.nodes["again"]
    assert (loop.state, loop.inner) == ("NotStarted", None)


def test_of_many_iterations_those_that_failed_are_opened() -> None:
    each = {"type": "parallel_for", "body": "${{parent.jobs.body}}", "items": [{"x": n} for n in range(9)]}
    steps = [pipeline_step(f"body[{n}]", "Failed" if n == 4 else "Completed") for n in range(9)]
    inside = {f"run-body[{n}]": [step("x", "Failed" if n == 4 else "Completed")] for n in range(9)}
    server = Server(
        {"p": {"body": {**node(), "type": "pipeline"}, "each": each}, **{name: {"x": node()} for name in inside}},
        {"p": steps, **inside},
    )
    picture = state.read(server, "p")
    loop = picture.graph.nodes["each"]
    assert loop.note == "for each of 9 items"
    assert loop.inner is not None
    assert [one.name for one in loop.inner.nodes.values() if one.inner] == ["body[4]"]
    assert [path for path, _ in picture.graph.failed()] == ["body[4]/x"]


def choice() -> dict[str, Any]:
    return {
        "ask": node(),
        "choose": {
            "type": "if_else",
            "condition": "${{parent.jobs.ask.outputs.big}}",
            "true_block": "${{parent.jobs.large}}",
            "false_block": "${{parent.jobs.small}}",
        },
        "large": node(),
        "small": node(),
    }


def test_a_choice_says_what_it_came_to_and_skipped_nodes_are_told() -> None:
    server = Server({"p": choice()}, {"p": [step("ask"), step("small")]}, properties={"lazulite.skipped": "large"})
    picture = state.read(server, "p")
    nodes = picture.graph.nodes
    assert nodes["choose"].note == "it was false"
    assert nodes["choose"].needs == [Edge("ask", "big")]
    assert nodes["large"].state == "Skipped"
    assert nodes["small"].needs == [Edge("choose", "false", control=True)]
    assert picture.tally() == {"Completed": 2, "Skipped": 1}  # the choice itself is no step


def test_a_choice_with_only_one_block() -> None:
    nodes = {
        "choose": {"type": "if_else", "condition": "false", "true_block": "${{parent.jobs.large}}"},
        "large": node(),
    }
    found = state.read(Server({"p": nodes}, properties={"lazulite.skipped": "large"}), "p").graph.nodes
    assert found["choose"].note == "it was false"


def test_of_a_sweep_the_trials_and_of_another_job_itself() -> None:
    class Sweep(Server):
        def job(self, name: str) -> dict[str, Any]:
            return {"jobType": "Sweep"}

    trials = [{**step("x"), "runId": f"p_{number}", "properties": {}} for number in range(2)]
    assert list(state.read(Sweep({}, {"p": trials}), "p").graph.nodes) == ["0", "1"]
    assert list(state.read(Sweep({}), "p").graph.nodes) == ["p"]


def test_a_sweep_of_a_pipeline_shows_its_trials_and_is_one_step() -> None:
    class Sweep(Server):
        def job(self, name: str) -> dict[str, Any]:
            best = {"jobType": "Sweep", "properties": {"best_child_run_id": "run-tune_1", "score": "0.5"}}
            return best if name == "run-tune" else super().job(name)

    trials = [
        {**run("run-tune_0", "Failed", "No."), "tags": {"hyperparameters": '{"lr": 1}'}},
        {**run("run-tune_1"), "tags": {"hyperparameters": '{"lr": 2}'}},
    ]
    nodes = {"tune": {**node(), "type": "sweep"}, "use": node("tune")}
    found = state.read(Sweep({"p": nodes}, {"p": [step("tune"), step("use")], "run-tune": trials}), "p")
    inner = found.graph.nodes["tune"].inner
    assert inner is not None
    assert [one.note for one in inner.nodes.values()] == ["lr 1", "lr 2 · the best, 0.5"]
    assert found.tally() == {"Completed": 2}
    assert list(found.graph.failed()) == []
    assert (
        state.read(Sweep({"p": nodes}, {"p": [step("tune")], "run-tune": trials}), "p", 0).graph.nodes["tune"].inner
        is None
    )


def test_trials_with_what_was_drawn_and_the_best_apart_from_the_others() -> None:
    class Sweep(Server):
        def job(self, name: str) -> dict[str, Any]:
            return {"jobType": "Sweep", "properties": {"best_child_run_id": "p_1", "score": "0.98765432"}}

    drawn = ['{"lr": 0.0123456789, "kind": "a", "deep": {"n": 1}, "on": true}', '{"lr": 1e-05}', "not JSON"]
    trials = [{**run(f"p_{n}"), "tags": {"hyperparameters": text}} for n, text in enumerate(drawn)]
    found = state.read(Sweep({}, {"p": trials}), "p").graph
    notes = ['lr 0.0123457, kind a, deep {"n": 1}, on true', "lr 1e-05 · the best, 0.987654", ""]
    assert [node.note for node in found.nodes.values()] == notes
    assert list(fold(found, 2).nodes) == ["0 … 2", "1"]
