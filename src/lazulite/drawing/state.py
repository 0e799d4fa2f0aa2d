"""What a pipeline looks like now: its nodes with their states, and what each waits for. Read from REST documents."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from lazulite.core.errors import ApiError
from lazulite.drawing import errors
from lazulite.model import pipeline_flow as flow
from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_flow import Choice, Flow

Json = dict[str, Any]

#: States in the order in which they are told, the worst first. Two are ours: of a node whose pipeline ended before it, and
#: of one that a choice left out.
STATES = (
    "Failed", "Canceled", "CancelRequested", "Running", "Finalizing", "Starting", "Preparing", "Provisioning", "Queued",
    "NotStarted", "NotRun", "Completed", "Skipped",
)  # fmt: skip
OVER = frozenset({"Completed", "Failed", "Canceled"})
#: What pipelines inside a pipeline cost: two requests each, at most so many of them.
_OPENED = 40
_ITERATIONS = 6


@dataclass(frozen=True, slots=True)
class Edge:
    """`node` is waited for: for its data (`label` names the outputs), or for its decision (`control`)."""

    node: str
    label: str = ""
    control: bool = False


@dataclass(slots=True)
class Node:
    """A node of a pipeline; `run` is the run of its latest attempt, None where there is none yet.

    `component` is the name of what it runs, `alike` the same for all nodes that run the very same. `original` is the run
    that a reused one stands for. `inner` is what lies inside a nested pipeline or a loop, None where it is not opened.
    `count` and `states` say how many steps it stands for, of which `members` are some.
    """

    name: str
    kind: str = "command"
    component: str = ""
    alike: str = ""
    state: str = "NotStarted"
    run: str | None = None
    began: dt.datetime | None = None
    ended: dt.datetime | None = None
    original: str | None = None
    error: str = ""
    note: str = ""
    needs: list[Edge] = field(default_factory=list)
    inner: Graph | None = None
    count: int = 1
    states: dict[str, int] = field(default_factory=dict)
    members: list[Node] = field(default_factory=list)

    @property
    def reused(self) -> bool:
        return self.original is not None

    @property
    def steps(self) -> Graph | None:
        """What is inside, where it counts as steps: a sweep is one step, whatever trials it shows."""
        return None if self.kind == "sweep" else self.inner

    def tally(self) -> dict[str, int]:
        return self.states or {self.state: 1}


@dataclass(slots=True)
class Graph:
    """The nodes of one pipeline, each after those it needs as far as its author wrote them so; or a sweep's trials."""

    nodes: dict[str, Node] = field(default_factory=dict)

    def steps(self) -> Iterator[Node]:
        """Those that run, also inside nested pipelines and loops as far as these are opened; a sweep is one."""
        for node in self.nodes.values():
            if (inside := node.steps) is not None:
                yield from inside.steps()
            elif node.kind != "if_else":
                yield node

    def failed(self, above: str = "") -> Iterator[tuple[str, Node]]:
        """The steps that failed, each with the path by which `lazulite job debug --node` finds it."""
        for name, node in self.nodes.items():
            # An iteration's name says of which loop it is.
            path = above if node.kind in ("do_while", "parallel_for") and "[" not in name else f"{above}{name}/"
            if (inside := node.steps) is not None:
                yield from inside.failed(path)
            elif node.state == "Failed" and node.kind != "if_else":
                yield f"{above}{name}", node


@dataclass(slots=True)
class Picture:
    """A job and what is inside it."""

    name: str
    title: str
    state: str
    experiment: str
    began: dt.datetime | None
    ended: dt.datetime | None
    error: str
    graph: Graph

    @property
    def over(self) -> bool:
        return self.state in OVER

    def tally(self) -> dict[str, int]:
        """How many steps are in each state, the worst first."""
        return total(self.graph.steps())


class Source(Protocol):
    """Where documents come from: a server by HTTP, or its own store."""

    def job(self, name: str) -> Json:
        """The ARM properties of a job."""

    def run(self, name: str) -> Json:
        """The document of its run."""

    def children(self, name: str) -> Iterable[Json]:
        """The documents of the runs below it."""


def read(source: Source, name: str, depth: int = 1) -> Picture:
    """The job `name`, with pipelines inside it opened `depth` deep."""
    run, job = source.run(name), source.job(name)
    left = [_OPENED]
    if job.get("jobType") == "Pipeline":
        inside = _graph(source, name, job, depth, left)
    else:
        trials = _trials(name, job, source.children(name))
        alone = _node(str(run.get("displayName") or name), run)
        inside = Graph({node.name: node for node in trials or [alone]})
    return Picture(
        name,
        str(run.get("displayName") or name),
        str(run["status"]),
        str(run.get("experimentName") or ""),
        moment(run.get("startTimeUtc")) or moment(run.get("createdUtc")),
        moment(run.get("endTimeUtc")),
        _error(run),
        inside,
    )


def _trials(name: str, job: Json, children: Iterable[Json]) -> list[Node]:
    """The trials of a sweep, each with what was drawn for it; the best stands apart."""
    properties = job.get("properties") or {}
    found = []
    for child in children:
        node = _node(_own_name(name, child), child)
        drawn = _drawn(str((child.get("tags") or {}).get("hyperparameters") or ""))
        node.note = ", ".join(f"{key} {_value(value)}" for key, value in drawn.items())
        if node.run == properties.get("best_child_run_id"):
            node.alike = "best"
            node.note = " · ".join(
                part for part in (node.note, f"the best, {_value(float(properties['score']))}") if part
            )
        found.append(node)
    return found


def total(nodes: Iterable[Node]) -> dict[str, int]:
    found: dict[str, int] = {}
    for node in nodes:
        for state, count in node.tally().items():
            found[state] = found.get(state, 0) + count
    return dict(sorted(found.items(), key=lambda pair: rank(pair[0])))


def rank(state: str) -> int:
    return STATES.index(state) if state in STATES else len(STATES)


def moment(text: Any) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None


def _graph(source: Source, name: str, job: Json, depth: int, left: list[int]) -> Graph:
    sent = {node: one for node, one in (job.get("jobs") or {}).items() if isinstance(one, dict)}
    try:
        what = flow.read(sent)
    except ApiError:  # an older job than the rules
        what = Flow()
    skipped = {node for node in str((job.get("properties") or {}).get("lazulite.skipped") or "").split(",") if node}
    absent = "NotRun" if job.get("status") in OVER else "NotStarted"
    runs = _latest(source.children(name))
    found = {
        node: _defined(node, one, sent, what, "Skipped" if node in skipped else absent) for node, one in sent.items()
    }
    for step, child in runs.items():
        node, iteration = flow.node_of(step)
        place = found.get(step) or found.get(node)
        made = _node(step, child)
        if place is None:
            found[step] = made
        elif iteration is None:
            _take(place, made)
        else:
            place.inner = place.inner or Graph()
            made.kind, made.component, made.alike = place.kind, place.component, place.alike
            made.needs = _iterated(what, node, iteration)
            place.inner.nodes[step] = made
    for own in found.values():
        _gather(own)
        for one in _to_open(own):
            _open(source, one, depth, left)
    return Graph(_ordered(_with_loops(found, what, job)))


def _latest(children: Iterable[Json]) -> dict[str, Json]:
    """The last attempt of each step; a page lists attempts in the order in which they were made."""
    return {str((child.get("properties") or {}).get("azureml.nodeid") or child["runId"]): child for child in children}


def _defined(name: str, sent: Json, nodes: Mapping[str, Json], what: Flow, state: str) -> Node:
    labels: dict[str, list[str]] = {}
    taken = {field_: value for field_, value in sent.items() if field_ != "outputs"}
    for reference in graph.references(taken):
        if isinstance(reference, graph.OutputOf) and reference.node in nodes and reference.node != name:
            labels.setdefault(reference.node, []).append(reference.name)
    edges = [Edge(node, ", ".join(dict.fromkeys(outputs))) for node, outputs in labels.items()]
    edges += [Edge(choice, str(wanted).lower(), control=True) for choice, wanted in what.gates.get(name, ())]
    component = graph.component_of(sent) or ""
    shown = component.rsplit("/versions/", 1)[0].rsplit("/", 1)[-1]
    return Node(name, graph.node_type(sent), _unless_anonymous(shown), component, state, needs=edges)


def _node(name: str, run: Json) -> Node:
    properties = run.get("properties") or {}
    return Node(
        name,
        {"azureml.PipelineRun": "pipeline", "hyperdrive": "sweep"}.get(str(run.get("runType")), "command"),
        _unless_anonymous(str(properties.get("azureml.modulename") or "")),
        str(properties.get("azureml.moduleid") or ""),
        str(run["status"]),
        str(run["runId"]),
        moment(run.get("startTimeUtc")),
        moment(run.get("endTimeUtc")),
        properties.get("azureml.reusedrunid"),
        _error(run),
    )


def _take(place: Node, made: Node) -> None:
    place.state, place.run, place.began, place.ended = made.state, made.run, made.began, made.ended
    place.original, place.error = made.original, made.error


def _iterated(what: Flow, node: str, iteration: int) -> list[Edge]:
    """The iterations of a loop with a condition follow each other."""
    again = isinstance(what.bodies.get(node), flow.Loop) and iteration > 0
    return [Edge(flow.step(node, iteration - 1), control=True)] if again else []


def _gather(node: Node) -> None:
    """A node with iterations is in the state of the worst of them."""
    if node.inner is None:
        return
    steps = list(node.inner.nodes.values())
    node.inner.nodes = {step.name: step for step in sorted(steps, key=lambda step: flow.node_of(step.name)[1] or 0)}
    node.state = min((step.state for step in steps), key=rank)
    node.began = min((step.began for step in steps if step.began), default=None)
    ends = [step.ended for step in steps]
    node.ended = max((end for end in ends if end), default=None) if all(ends) else None


def _to_open(node: Node) -> list[Node]:
    """The node itself, and iterations of a loop: all where there are few, else those that failed."""
    iterations = list(node.inner.nodes.values()) if node.inner is not None else []
    return [node, *(one for one in iterations if len(iterations) <= _ITERATIONS or one.state == "Failed")]


def _open(source: Source, node: Node, depth: int, left: list[int]) -> None:
    within = node.kind in ("pipeline", "sweep") and node.inner is None
    if not within or node.run is None or depth <= 0 or left[0] <= 0:
        return
    left[0] -= 1
    run = node.original or node.run  # what lies below one that was reused lies below the one that ran
    job = source.job(run)
    if node.kind == "sweep":
        node.inner = Graph({trial.name: trial for trial in _trials(run, job, source.children(run))})
    else:
        node.inner = _graph(source, run, job, depth - 1, left)
    if not any(one.run for one in node.inner.nodes.values()):
        node.inner = None


def _with_loops(found: dict[str, Node], what: Flow, job: Json) -> dict[str, Node]:
    """Loops drawn in the place of their bodies, choices with the state that follows from their blocks."""
    inside = {loop.body: loop.name for loop in (*what.bodies.values(),) if loop.body in found}
    for body, name in inside.items():
        loop, node = what.bodies[body], found.pop(body)
        edges = [edge for edge in (*found[name].needs, *node.needs) if edge.node not in (body, name)]
        node.needs, node.kind = list(dict.fromkeys(edges)), found[name].kind
        node.note = _told(loop)
        node.name = name if name != body else body
        found[name] = node
        node.component = body
    for node in found.values():
        node.needs = [Edge(inside.get(edge.node, edge.node), edge.label, edge.control) for edge in node.needs]
    for name, control in what.controls.items():
        if isinstance(control, Choice):
            _choose(found, found[name], control)
    return found


def _told(loop: flow.Loop | flow.Spread) -> str:
    if isinstance(loop, flow.Loop):
        while_ = f"while its output {loop.condition} is true, " if loop.condition else ""
        return f"{while_}at most {loop.limit} times"
    most = f", {loop.concurrency} at a time" if loop.concurrency else ""
    return f"for each of {len(loop.items)} items{most}" if isinstance(loop.items, tuple) else f"for each item{most}"


def _choose(found: Mapping[str, Node], node: Node, choice: Choice) -> None:
    """A choice has no run: what it opened says what it came to."""
    node.kind = "if_else"
    sides = {"true": choice.yes, "false": choice.no}
    began = [word for word, names in sides.items() if any(name in found and found[name].run for name in names)]
    skipped = [word for word, names in sides.items() if any(found[n].state == "Skipped" for n in names if n in found)]
    if began or skipped:
        node.state = "Completed"
        node.note = f"it was {began[0]}" if began else f"it was {'false' if 'true' in skipped else 'true'}"


def _ordered(nodes: dict[str, Node]) -> dict[str, Node]:
    """Each node after those it needs, otherwise as they were."""
    done: dict[str, Node] = {}
    for name in nodes:
        waiting = [name]
        on_the_way: set[str] = set()
        while waiting:
            current = waiting[-1]
            on_the_way.add(current)
            missing = [
                edge.node
                for edge in nodes[current].needs
                if edge.node in nodes and edge.node not in done and edge.node not in on_the_way
            ]
            if missing:
                waiting.append(missing[0])
            else:
                done.setdefault(current, nodes[current])
                waiting.pop()
    return done


def _drawn(text: str) -> Json:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value)


def _own_name(parent: str, child: Json) -> str:
    return str(child["runId"]).removeprefix(f"{parent}_")


def _unless_anonymous(component: str) -> str:
    return "" if component == "azureml_anonymous" else component


def _error(run: Json) -> str:
    return errors.in_a_line(str(((run.get("error") or {}).get("error") or {}).get("message") or ""))
