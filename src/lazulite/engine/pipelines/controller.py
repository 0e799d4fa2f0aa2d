"""The controller of pipelines: looks at the jobs of the nodes, lets `Progress` say what is next, and does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.clock import Clock, iso
from lazulite.drawing import errors
from lazulite.engine.jobs.record import active_keys, save
from lazulite.engine.pipelines import births, children, ending, log, sources
from lazulite.engine.pipelines.births import Gathered, Ready
from lazulite.engine.pipelines.children import Birth
from lazulite.engine.pipelines.memory import Memory
from lazulite.engine.pipelines.progress import Needs, Progress, Step
from lazulite.engine.pipelines.unfold import Unfolded, Unfolding
from lazulite.engine.settings import EngineSettings
from lazulite.engine.states import advance
from lazulite.model import job_status
from lazulite.model import pipeline_flow as flow
from lazulite.model import pipeline_graph as graph
from lazulite.model.job_status import TERMINAL, JobState, JobStatus
from lazulite.model.pipeline_flow import Loop, Source, Spread
from lazulite.resources import places
from lazulite.store import resources
from lazulite.store.database import Database
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Resource
from lazulite.store.tables import resources as table

_ETAG = sa.select(table.c.etag).where(table.c.key == sa.bindparam("wanted"))
_EVENT = "pipeline"
#: In a hint that a job of a pipeline changed, between the key of the pipeline and the name of the job.
_CHILDREN = "/children/"
#: How often a node runs whose machine was lost.
_ATTEMPTS = 3
_REMEMBERED = 50_000


class PipelineController:
    """`wake` makes other items due: keys as a commit would announce them."""

    name = "pipelines"

    def __init__(
        self,
        database: Database,
        settings: EngineSettings,
        storage: StorageLocator,
        clock: Clock,
        wake: Callable[[Iterable[str]], None],
    ) -> None:
        self._database = database
        self._settings = settings
        self._storage = storage
        self._clock = clock
        self._wake = wake
        self._known: dict[str, Memory] = {}
        self._parents: dict[str, str] = {}  # the pipelines of jobs that are no pipelines themselves
        self._others: set[str] = set()  # keys of jobs that concern no pipeline

    def item(self, changed_key: str) -> str | None:
        parent, _, child = changed_key.partition(_CHILDREN)
        if not child:
            if changed_key.rsplit("/", 2)[-2:-1] != ["jobs"] or changed_key in self._others:
                return None
            parent, child = self._parents.get(changed_key, changed_key), changed_key.rsplit("/", 1)[1]
        memory = self._known.get(parent)
        if memory is not None and parent == changed_key:
            memory.stale = True
        elif memory is not None:
            memory.dirty.add(child)
        return parent

    async def pending(self) -> Iterable[str]:
        found = await self._database.read(lambda c: active_keys(c, "Pipeline"))
        self._others.difference_update(found)
        for memory in self._known.values():
            memory.stale = memory.whole = True  # hints may have been lost
        return found

    async def reconcile(self, item: str) -> float | None:
        try:
            return await self._reconcile(item)
        except BaseException:
            self._known.pop(item, None)  # it may hold what the store does not: it is read again
            raise

    async def _reconcile(self, item: str) -> float | None:
        memory = await self._current(item)
        if memory is None:
            return None
        job = memory.job
        changed = await self._learn(memory)
        cancel = job.spec.get("desired") == "Canceled"
        settings = job.properties.get("settings") or {}
        keep_going = str(graph.field(settings, "continue_on_step_failure") or "").lower() == "true"
        progress, unfolded = await self._unfold(memory)
        step = progress.next(cancel=cancel, keep_going=keep_going)
        over = await self._do(memory, step, unfolded, changed, cancel)
        return 0.0 if step.more or over else None

    async def _learn(self, memory: Memory) -> set[str]:
        """Take in what changed; return the steps whose latest job is news."""
        whole, names = memory.whole, memory.dirty
        memory.whole, memory.dirty = False, set()
        workspace = arm_id.workspace_of(memory.job.id)
        if whole:
            states = await self._database.read(lambda c: children.states(c, memory.job.key))
            memory.forget(memory.nodes.keys() - states.keys())
        elif names:
            states = await self._database.read(lambda c: children.states_of(c, workspace, names))
        else:
            return set()
        unknown = [name for name in states if name not in memory.nodes]
        if unknown:
            for name, row in (await self._database.read(lambda c: children.read(c, workspace, unknown))).items():
                memory.nodes[name] = (str(row.spec["node"]), int(row.spec["attempt"]))
                if row.properties.get("jobType") != "Pipeline":
                    self._parents[row.key] = memory.job.key
        changed = memory.learn({name: state for name, state in states.items() if name in memory.nodes})
        await self._look_at_failed(memory, changed)
        return changed

    async def _unfold(self, memory: Memory) -> tuple[Progress, Unfolded]:
        unfolding = memory.progress
        if isinstance(unfolding, Progress):
            return unfolding, Unfolded(needs=memory.graph)

        def settle(c: Connection) -> None:
            def look(source: Source, step: str | None) -> str:
                job = memory.latest[step][0] if step in memory.latest else None
                if (source, job) not in memory.texts:
                    memory.texts[source, job] = sources.text(c, self._storage, memory.job, source, job)
                return memory.texts[source, job]

            unfolding.settle(look)

        if not unfolding.settled:
            await self._database.read(settle)
        return unfolding.progress, unfolding.found

    async def _do(self, memory: Memory, step: Step, unfolded: Unfolded, changed: set[str], cancel: bool) -> bool:
        """Carry out a step; say whether jobs were made that are over already."""
        job = memory.job
        status = job_status.read(job.status)
        born = await self._born(memory, step, unfolded)
        lines = self._lines(memory, unfolded, changed, born, step)
        active = self._active(memory) if step.stop else []
        now = iso(self._clock())
        if step.ending is not None:
            await self._write_log(memory, lines)  # afterwards nobody looks at this pipeline again

        def write(c: Connection) -> None:
            if not resources.lives(c, job):
                return
            for birth in born:
                children.create(c, job, birth, now)
            children.stop(c, job, active)
            for _, line, mark in lines:
                resources.record(c, job.id, _EVENT, {"line": line, "told": mark})
            following = self._following(c, memory, status, step, unfolded, cancel, now)
            if following != status:
                save(c, job, following)

        if born or active or lines or cancel or step.ending is not None or status.state is JobState.NOT_STARTED:
            await self._database.write(write)
        memory.lines += [line for _, line, _ in lines]
        memory.told |= {mark for _, _, mark in lines}
        memory.stopped |= set(active)
        if step.ending is not None:
            self._pass_over(job.key)
            if job.spec.get("parent"):
                self._wake([f"{job.parent}{_CHILDREN}{job.name}"])
            return False
        await self._write_log(memory, [])
        memory.learn({children.name_of(job, birth.node, birth.attempt): JobState.NOT_STARTED for birth in born})
        over = {children.name_of(job, birth.node, birth.attempt) for birth in born if birth.state in TERMINAL}
        memory.dirty |= over
        return bool(over)

    async def _born(self, memory: Memory, step: Step, unfolded: Unfolded) -> list[Birth]:
        if not step.create:
            return []
        job, gathered = memory.job, memory.loops_over(unfolded)
        ready = [self._ready(memory, name, unfolded, gathered) for name in step.create]
        storage, mirror = self._storage, self._settings.url_mirror
        born = await self._database.read(lambda c: [births.prepare(c, storage, mirror, job, one) for one in ready])
        for birth in born:
            self._expect(memory, birth)
        return born

    def _active(self, memory: Memory) -> list[str]:
        """The jobs whose end has not been asked for."""
        return [name for name, state in memory.latest.values() if state not in TERMINAL and name not in memory.stopped]

    def _ready(self, memory: Memory, step: str, unfolded: Unfolded, gathered: Mapping[str, Gathered]) -> Ready:
        node, iteration = flow.node_of(step)
        loop, inputs = memory.flow.bodies.get(node), {}
        wanted = {name: unfolded.last.get(name, name) for name in memory.graph[node].nodes}
        if isinstance(loop, Spread) and iteration is not None:
            inputs = flow.item_inputs(unfolded.items[loop.name][iteration])
            wanted |= {name: unfolded.last.get(name, name) for name in memory.graph[loop.name].nodes}
        elif isinstance(loop, Loop) and iteration:
            inputs = {
                into: {"value": f"${{{{parent.jobs.{node}.outputs.{name}}}}}"} for into, name in loop.mapping.items()
            }
            wanted[node] = flow.step(node, iteration - 1)
        latest = memory.latest
        upstream = {name: latest[source][0] for name, source in wanted.items() if source in latest}
        return Ready(step, memory.lost.get(step, 0) + 1, upstream, gathered, inputs)

    def _expect(self, memory: Memory, birth: Birth) -> None:
        """Know the job before it is announced."""
        name = children.name_of(memory.job, birth.node, birth.attempt)
        memory.nodes[name] = (birth.node, birth.attempt)
        if birth.child.properties["jobType"] != "Pipeline":
            self._parents[arm_id.key(f"{arm_id.workspace_of(memory.job.id)}/jobs/{name}")] = memory.job.key

    async def _look_at_failed(self, memory: Memory, changed: set[str]) -> None:
        """Why they failed; those whose machine was lost are to be tried again, some times."""
        failed = {memory.latest[step][0]: step for step in changed if memory.latest[step][1] is JobState.FAILED}
        if not failed:
            return
        workspace = arm_id.workspace_of(memory.job.id)
        for name, row in (await self._database.read(lambda c: children.read(c, workspace, failed))).items():
            error, attempt = job_status.read(row.status).error, memory.nodes[name][1]
            if error is None:
                continue
            memory.reasons[name] = errors.in_a_line(error.message)
            if error.code == "AgentLost" and attempt < _ATTEMPTS:
                memory.lose(failed[name], attempt)

    def _following(
        self,
        c: Connection,
        memory: Memory,
        status: JobStatus,
        step: Step,
        unfolded: Unfolded,
        cancel: bool,
        now: str,
    ) -> JobStatus:
        if cancel and step.ending is None:
            return advance(status, JobState.CANCEL_REQUESTED, now)
        if status.state is JobState.NOT_STARTED and not cancel:
            for state in (JobState.QUEUED, JobState.PREPARING, JobState.RUNNING):
                status = advance(status, state, now)
        if step.ending is None:
            return status
        return ending.status(c, self._storage, self._settings.location, memory, unfolded, status, step.ending, now)

    async def _current(self, key: str) -> Memory | None:
        """The pipeline as it is now, read only where it changed; None where there is nothing to do."""
        memory = self._known.get(key)
        if memory is not None:
            if not memory.stale:
                return memory
            memory.stale = False
            if memory.job.etag == await self._database.read(lambda c: c.scalar(_ETAG, {"wanted": key})):
                return memory
        job = await self._database.read(lambda c: resources.get(c, key))
        if job is None or job.properties.get("jobType") != "Pipeline" or job.state in TERMINAL:
            self._pass_over(key)
            return None
        if memory is None or memory.job.sequence != job.sequence:
            memory = await self._database.read(lambda c: self._load(c, job))
            self._known[key] = memory
        memory.job = job
        return memory

    def _load(self, c: Connection, job: Resource) -> Memory:
        pinned = job.spec["resolved"]["nodes"]
        needs = {n: Needs(frozenset(node["needs"]), frozenset(node["soft"])) for n, node in pinned.items()}
        what = flow.read(job.properties["jobs"])
        told = [event["data"] for event in resources.history(c, job.id) if event["kind"] == _EVENT]
        return Memory(
            job,
            needs,
            self._log_path(c, job),
            [t["line"] for t in told],
            {str(t["told"]) for t in told},
            Unfolding(needs, what) if what.controls else Progress(needs),
            flow=what,
        )

    def _lines(
        self,
        memory: Memory,
        unfolded: Unfolded,
        changed: set[str],
        born: list[Birth],
        step: Step,
    ) -> list[tuple[str, str, str]]:
        """What this step adds to the log."""
        news = [(node, *memory.latest[node]) for node in sorted(changed)]
        said = [(node, name, str(state)) for node, name, state in news if state in TERMINAL]
        for birth in born:
            name = children.name_of(memory.job, birth.node, birth.attempt)
            if birth.original is not None:
                said.append((birth.node, name, f"Submitted, reuses run {birth.original.name}"))
            else:
                said.append((birth.node, name, "Submitted"))
        found = []
        for node, name, what in said:
            mark, why = f"{name} {what}", memory.reasons.get(name)
            text = f"Step '{node}' is {what} (run {name}){f': {why}' if why else '.'}"
            if mark not in memory.told:
                found.append((node, log.line(iso(self._clock()), text), mark))
        for node, why, failed in memory.progress.news() if isinstance(memory.progress, Unfolding) else ():
            mark, text = (f"{node} error", why) if failed else (f"{node} skipped", f"Step '{node}' is skipped: {why}.")
            if mark not in memory.told:
                found.append((node, log.line(iso(self._clock()), text), mark))
        if step.ending is not None:
            found.append(("", log.line(iso(self._clock()), f"The pipeline is {step.ending}."), f"{step.ending}"))
        return found

    def _log_path(self, c: Connection, job: Resource) -> Path | None:
        return places.artifact_path(c, arm_id.workspace_of(job.id), self._storage, job.name, log.FILE)

    async def _write_log(self, memory: Memory, more: list[tuple[str, str, str]]) -> None:
        lines = [*memory.lines, *(line for _, line, _ in more)] if more else memory.lines
        if memory.log is not None and len(lines) != memory.written:
            memory.written = await asyncio.to_thread(log.bring_up, memory.log, lines, memory.written)

    def _pass_over(self, key: str) -> None:
        memory = self._known.pop(key, None)
        if memory is not None:
            workspace = arm_id.key(arm_id.workspace_of(memory.job.id))
            for name in memory.nodes:
                self._parents.pop(f"{workspace}/jobs/{name}", None)
        if len(self._others) >= _REMEMBERED:
            self._others.clear()
        self._others.add(key)
