"""Runs in memory that get on only when told to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from lazulite.backends.base import BackendError, Capabilities, Handle, Observation, RunKey
from lazulite.core.clock import Clock, iso, utc_now
from lazulite.model.run_plan import RunError, RunOutcome, RunPhase, RunPlan, RunSecrets


@dataclass(slots=True)
class FakeRun:
    """One run: what it was given and how it stands. Change it through the backend."""

    key: RunKey
    plan: RunPlan
    secrets: RunSecrets
    phase: RunPhase | None = RunPhase.PREPARING
    alive: bool = True
    outcome: RunOutcome | None = None
    exit_code: int | None = None
    error: RunError | None = None
    times: dict[str, str] = field(default_factory=dict)
    stopped: bool = False


class FakeBackend:
    """`played` decides how far a run gets at each look; without it, runs wait for `advance` and `finish`.

    The object outlives the server that uses it, as real runs do: hand it to the next one.
    """

    name = "fake"
    capabilities = Capabilities(multi_node=True, reads_local_paths=True)

    def __init__(self, played: Callable[[FakeRun], None] | None = None, clock: Clock = utc_now) -> None:
        self.runs: dict[tuple[str, int], FakeRun] = {}
        self.forgotten: list[RunKey] = []
        self.starts: list[RunKey] = []
        self.refusals = 0
        """How many of the next calls of `start` fail."""
        self._played = played
        self._clock = clock
        self._changed: Callable[[str], None] | None = None

    async def start(self, run: RunKey, plan: RunPlan, secrets: RunSecrets) -> Handle:
        if self.refusals > 0:
            self.refusals -= 1
            raise BackendError("the script refuses this start")
        known = self.runs.get((run.job_key, run.attempt))
        if known is None:
            self.starts.append(run)
            self._refuse_second(run)
            times = {RunPhase.PREPARING.value: iso(self._clock())}
            self.runs[run.job_key, run.attempt] = FakeRun(run, plan, secrets, times=times)
        return _handle(run)

    async def find(self, run: RunKey) -> Handle | None:
        return _handle(run) if (run.job_key, run.attempt) in self.runs else None

    async def inspect(self, handle: Handle) -> Observation:
        run = self.runs.get((handle["job"], handle["attempt"]))
        if run is None:
            return Observation(phase=None, alive=False)
        if self._played is not None and run.outcome is None and run.alive:
            self._played(run)
        return Observation(run.phase, run.alive, run.outcome, run.exit_code, run.error, dict(run.times))

    async def stop(self, handle: Handle, grace_s: float) -> None:
        run = self.runs.get((handle["job"], handle["attempt"]))
        if run is not None and run.outcome is None:
            run.stopped = True
            self.end(run, RunOutcome.CANCELED)

    async def forget(self, handle: Handle) -> None:
        run = self.runs.pop((handle["job"], handle["attempt"]), None)
        if run is not None:
            self.forgotten.append(run.key)

    async def retain(self, runs: Collection[RunKey]) -> None:
        keep = {(run.job_key, run.attempt) for run in runs}
        for key in set(self.runs) - keep:
            self.forgotten.append(self.runs.pop(key).key)

    def watch(self, changed: Callable[[str], None] | None) -> None:
        self._changed = changed

    async def close(self) -> None:
        self._changed = None

    def of(self, job: str) -> FakeRun:
        """The run of a job's newest attempt, by the job's name. Raises LookupError."""
        found = [run for run in self.runs.values() if run.key.job == job]
        if not found:
            raise LookupError(job)
        return max(found, key=lambda run: run.key.attempt)

    def advance(self, job: str, phase: RunPhase) -> None:
        """The run of that job enters a phase."""
        self.enter(self.of(job), phase)

    def finish(self, job: str, exit_code: int = 0, message: str = "the script says so") -> None:
        """The run of that job ends with an exit code."""
        run = self.of(job)
        self.enter(run, RunPhase.RUNNING)
        run.exit_code = exit_code
        run.error = RunError(code="UserError/CommandFailed", message=message) if exit_code else None
        self.end(run, RunOutcome.FAILED if exit_code else RunOutcome.COMPLETED)

    def lose(self, job: str) -> None:
        """Whoever ran the run is gone without a word."""
        run = self.of(job)
        run.alive = False
        self._tell(run)

    def enter(self, run: FakeRun, phase: RunPhase) -> None:
        run.phase = phase
        run.times.setdefault(phase.value, iso(self._clock()))
        self._tell(run)

    def end(self, run: FakeRun, outcome: RunOutcome) -> None:
        run.outcome = outcome
        run.alive = False
        self.enter(run, RunPhase.DONE)

    def _tell(self, run: FakeRun) -> None:
        if self._changed is not None:
            self._changed(run.key.job_key)

    def _refuse_second(self, run: RunKey) -> None:
        for other in self.runs.values():
            if other.key.job_key == run.job_key and other.outcome is None and other.alive:
                raise AssertionError(f"{run.job} would run twice at the same time")


def _handle(run: RunKey) -> Handle:
    return {"job": run.job_key, "attempt": run.attempt}
