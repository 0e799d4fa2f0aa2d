"""The controller of sweeps: reads the trials, lets `decide` say what is next, and makes and ends trials."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.clock import Clock, iso, parse_iso
from lazulite.engine.jobs.decide import failed
from lazulite.engine.jobs.finish import register_outputs
from lazulite.engine.jobs.record import active_keys, save
from lazulite.engine.settings import EngineSettings
from lazulite.engine.states import advance
from lazulite.engine.sweeps import describe, log, memory, trials
from lazulite.engine.sweeps.decide import Decision, Trial, best, decide
from lazulite.engine.sweeps.memory import Event, Look, Memory
from lazulite.model import job_status
from lazulite.model.job_status import TERMINAL, JobError, JobState, JobStatus
from lazulite.model.search_space import Point, Values
from lazulite.resources import places
from lazulite.store import resources, runs
from lazulite.store.database import Database
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Resource

#: Seconds between two looks at the metrics of running trials, where a policy judges them.
_JUDGE_S = 1.0
#: Trials at a time where neither the sweep nor the machine sets fewer: more would only wait.
_MOST_AT_ONCE = 100
_REMEMBERED = 50_000
_NO_BEST = "No trial logged a number as the primary metric '{}', so none is the best."

_Draw = tuple[int, Point, Values]


class SweepController:
    name = "sweeps"

    def __init__(self, database: Database, settings: EngineSettings, storage: StorageLocator, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._storage = storage
        self._clock = clock
        self._memories: dict[str, Memory | None] = {}
        self._others: set[str] = set()  # keys of jobs that are no sweeps: not to be read at every change

    def item(self, changed_key: str) -> str | None:
        if changed_key.rsplit("/", 2)[-2:-1] != ["jobs"]:
            return None
        parent = trials.parent_key(changed_key)
        if parent is not None and parent in self._memories:
            return parent
        return None if changed_key in self._others else changed_key

    async def pending(self) -> Iterable[str]:
        found = await self._database.read(lambda c: active_keys(c, "Sweep"))
        self._others.difference_update(found)
        return found

    async def reconcile(self, item: str) -> float | None:
        job = await self._database.read(lambda c: resources.get(c, item))
        if job is None or job.properties.get("jobType") != "Sweep" or job.state in TERMINAL:
            self._let_go(item)
            return None
        try:
            return await self._reconcile(job)
        except BaseException:
            self._memories[item] = None  # it may hold what the store does not: read it again
            raise

    async def _reconcile(self, job: Resource) -> float | None:
        known = self._memories.get(job.key)
        if known is None or known.row != job.sequence:
            known = await self._remember(job)
        self._memories[job.key] = known
        look = await self._database.read(lambda c: memory.look(c, job, known))
        known.learn(look)
        status = job_status.read(job.status)
        judgement = known.judge(look, {int(n): at for n, at in status.progress.get("judged", {}).items()})
        all_trials = [Trial(n, state, known.scores.get(n)) for n, state in sorted(look.states.items())]
        decision = decide(
            known.settings,
            all_trials,
            int(status.progress.get("created", 0)),
            cancel=job.spec.get("desired") == "Canceled",
            elapsed_s=self._elapsed(status),
            stops=judgement.stops,
            most_at_once=self._settings.node_limit or _MOST_AT_ONCE,
        )
        found = best(all_trials, known.settings.maximize)
        following = self._following(job, status, known, found, judgement.evaluated, decision)
        return await self._do(job, known, look, decision, following)

    async def _do(
        self, job: Resource, known: Memory, look: Look, decision: Decision, following: JobStatus
    ) -> float | None:
        try:
            draws = await asyncio.to_thread(_draw, known, decision.start) if decision.start else []
        except Exception as error:  # it would fail again: an extreme distribution, a library that is not there
            message = f"No trial could be drawn from the search space: {type(error).__name__}: {error}"
            await self._refuse(job, look, "SamplingFailed", message)
            return None
        events = self._events(job, known, look, draws, decision)
        if decision.ending is not None:
            # Before the end is stored: afterwards nobody looks at this sweep again.
            await _write_log(known, [*known.lines, *(event.line for event in events)])
        if events or following != job_status.read(job.status):
            await self._store(job, known, look, draws, events, following)
        if following.terminal:
            self._let_go(job.key)
            return None
        await _write_log(known, known.lines)
        return self._again(known, look, following)

    async def _store(
        self, job: Resource, known: Memory, look: Look, draws: list[_Draw], events: list[Event], following: JobStatus
    ) -> None:
        at = iso(self._clock())

        def write(c: Connection) -> None:
            for number in look.over:
                trials.log_params(c, job, number)
            for number, point, values in draws:
                trials.create(c, job, number, point, values, at)
            for event in events:
                event.record(c, job)
                if event.stop is not None:
                    trials.stop(c, job, event.stop, event.line)
            if not known.lines:
                runs.set_tags(c, arm_id.workspace_of(job.id), job.name, describe.tags(job, known.settings))
            save(c, job, self._with_results(c, job, known, following))

        try:
            await self._database.write(write)
        except (resources.AlreadyExists, runs.RunExists) as error:
            message = f"A trial cannot have its name: there is a job or run '{error}' already."
            await self._refuse(job, look, "TrialNameTaken", message)
        else:
            known.stored(events)

    async def _refuse(self, job: Resource, look: Look, code: str, message: str) -> None:
        def write(c: Connection) -> None:
            for number in look.active:
                trials.stop(c, job, number, message)
            save(c, job, failed(job_status.read(job.status), code, message, iso(self._clock())))

        await self._database.write(write)

    def _with_results(self, c: Connection, job: Resource, known: Memory, following: JobStatus) -> JobStatus:
        """At its end a sweep has the outputs of its best trial; a failed one says why its first trial failed."""
        if following.state is JobState.COMPLETED and "best" in following.progress:
            of_best = trials.status(c, job, int(following.progress["best"]))
            if of_best is not None and of_best.state is JobState.COMPLETED:
                outputs = {name: msgspec.structs.replace(o, asset_id=None) for name, o in of_best.outputs.items()}
                with_outputs = msgspec.structs.replace(following, outputs=outputs)
                return register_outputs(c, job, with_outputs, self._settings.location)
        if following.state is JobState.FAILED and following.error is not None:
            first = trials.status(c, job, min(known.scores, default=0))
            if first is not None and first.error is not None:
                error = JobError(first.error.code, f"{following.error.message} The first: {first.error.message}")
                return msgspec.structs.replace(following, error=error)
        return following

    def _following(
        self,
        job: Resource,
        status: JobStatus,
        known: Memory,
        found: Trial | None,
        judged: dict[int, int],
        decision: Decision,
    ) -> JobStatus:
        """The sweep's status once the decision is carried out."""
        now = iso(self._clock())
        progress = {
            "created": max(decision.start.stop, int(status.progress.get("created", 0))),
            "judged": {str(number): at for number, at in judged.items()},
            **({"best": found.number} if found is not None else {}),
        }
        properties = describe.properties(job, known.settings, found)
        after = msgspec.structs.replace(status, progress=progress, properties=properties)
        if after.state is JobState.NOT_STARTED and decision.start:
            for state in (JobState.QUEUED, JobState.PREPARING, JobState.RUNNING):
                after = advance(after, state, now)
        if decision.stop and job.spec.get("desired") == "Canceled":
            after = advance(after, JobState.CANCEL_REQUESTED, now)
        if decision.ending is None:
            return after
        if decision.ending is JobState.FAILED:
            return failed(after, "AllTrialsFailed", decision.message, now)
        notes = [decision.message] if decision.message else []
        if found is None and decision.ending is JobState.COMPLETED:
            notes.append(_NO_BEST.format(known.settings.metric))
        return msgspec.structs.replace(advance(after, decision.ending, now), notes=[*after.notes, *notes])

    def _events(self, job: Resource, known: Memory, look: Look, draws: list[_Draw], decision: Decision) -> list[Event]:
        """What this step adds to the log."""
        now = iso(self._clock())
        metric = known.settings.metric
        said = [] if known.lines else [Event(log.line(now, describe.plan(known.settings)))]
        for number in look.over:
            score = known.scores[number]
            result = f"no {metric}" if score is None else f"{metric} = {score:.6g}"
            text = f"Trial {trials.name_of(job.name, number)} is {look.states[number]}: {result}."
            said.append(Event(log.line(now, text), over=number))
        for number, reason in decision.stop.items():
            if number not in known.stopping:
                text = f"Ending trial {trials.name_of(job.name, number)} early: {reason}."
                said.append(Event(log.line(now, text), stop=number))
        for number, _, values in draws:
            said.append(Event(log.line(now, f"Trial {trials.name_of(job.name, number)}: {json.dumps(values)}")))
        if decision.ending is not None:
            nothing = decision.ending is JobState.COMPLETED and all(score is None for score in known.scores.values())
            why = _NO_BEST.format(metric) if nothing else decision.message
            said.append(Event(log.line(now, f"The sweep is {decision.ending}. {why}")))
        return said

    async def _remember(self, job: Resource) -> Memory:
        metric = str((job.properties.get("objective") or {}).get("primaryMetric"))
        stored, path = await self._database.read(lambda c: (memory.read(c, job, metric), self._log_path(c, job)))
        return await asyncio.to_thread(memory.remember, job, stored, path)

    def _log_path(self, c: Connection, job: Resource) -> Path | None:
        return places.artifact_path(c, arm_id.workspace_of(job.id), self._storage, job.name, log.FILE)

    def _again(self, known: Memory, look: Look, status: JobStatus) -> float | None:
        waits = [_JUDGE_S] if known.settings.policy is not None and look.active else []
        if known.settings.timeout_s is not None:
            waits.append(max(0.05, known.settings.timeout_s - self._elapsed(status)))
        return min(waits, default=None)

    def _elapsed(self, status: JobStatus) -> float:
        begun = status.start_time
        return 0.0 if begun is None else (self._clock() - parse_iso(begun)).total_seconds()

    def _let_go(self, key: str) -> None:
        self._memories.pop(key, None)
        if len(self._others) >= _REMEMBERED:
            self._others.clear()
        self._others.add(key)


def _draw(known: Memory, numbers: range) -> list[_Draw]:
    """Not on the event loop: a Bayesian draw takes milliseconds, and the first one imports Optuna."""
    return [(number, *known.sampler.draw(number)) for number in numbers]


async def _write_log(known: Memory, lines: list[str]) -> None:
    if known.log is not None and known.written != len(lines):
        known.written = await asyncio.to_thread(log.bring_up, known.log, lines, known.written)
