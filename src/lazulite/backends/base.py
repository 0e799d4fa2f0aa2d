"""What every backend does. `lazulite.testing.backend_contract` is the suite that each one passes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from lazulite.model.run_plan import RunError, RunOutcome, RunPhase, RunPlan, RunSecrets

#: JSON, stored with the job: all that a restarted server needs to find the run again.
Handle = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunKey:
    """One attempt of one job: the name under which a backend starts at most one run.

    `workspace` is the workspace's ARM id, `job_key` the key of the job's resource and `row` its number, which tells a
    job from one that had its name before.
    """

    workspace: str
    job: str
    job_key: str
    attempt: int = 1
    row: int = 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do beyond running one process on one machine."""

    multi_node: bool = False
    reads_local_paths: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a run. `phase` None: it was never begun. `outcome` is set exactly when the phase is done.

    `alive` false without an outcome: whoever ran it is gone and will not come back.
    """

    phase: RunPhase | None
    alive: bool = True
    outcome: RunOutcome | None = None
    exit_code: int | None = None
    error: RunError | None = None
    times: dict[str, str] = field(default_factory=dict)
    activity: str | None = None
    notes: tuple[str, ...] = ()


class BackendError(Exception):
    """The backend could not do it now; the same call may succeed later."""


class Backend(Protocol):
    """Every call may be repeated, after a restart too, and none waits for a run to get on."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    async def start(self, run: RunKey, plan: RunPlan, secrets: RunSecrets) -> Handle:
        """Begin the run, unless this RunKey was begun before: then only its handle is returned.

        Raises BackendError.
        """
        ...

    async def find(self, run: RunKey) -> Handle | None:
        """The handle of a run that was begun, perhaps by a server that did not live to store it."""
        ...

    async def inspect(self, handle: Handle) -> Observation:
        """How the run stands. Raises BackendError where that cannot be told now."""
        ...

    async def stop(self, handle: Handle, grace_s: float) -> None:
        """Ask for the end: terminated, and killed after `grace_s`. The outcome is inspected later.

        A run that never got to begin never will. Unknown handles are ignored.
        """
        ...

    async def forget(self, handle: Handle) -> None:
        """Free what a finished run holds. Artifacts and outputs stay. Unknown handles are ignored."""
        ...

    async def retain(self, runs: Collection[RunKey]) -> None:
        """Stop and forget every run but these: what a server does at its start with what nobody owns any more."""
        ...

    def watch(self, changed: Callable[[str], None] | None) -> None:
        """From now on call `changed` with the `job_key` of runs that got on: a hint, which may be lost or repeated."""
        ...

    async def close(self) -> None:
        """Let go of watchers. Runs go on."""
        ...
