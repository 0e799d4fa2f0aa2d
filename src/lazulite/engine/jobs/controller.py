"""The controller of jobs: reads one, looks at its run, lets `decide` say what is next, and does it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.backends.base import Backend, BackendError, Handle, Observation, RunKey
from lazulite.core import arm_id
from lazulite.core.clock import Clock, iso
from lazulite.core.errors import ApiError
from lazulite.core.paths import UnsafePath
from lazulite.engine.computes import POOL
from lazulite.engine.jobs import controls, reason
from lazulite.engine.jobs import decide as steps
from lazulite.engine.jobs.decide import Action, Finish, Launch, Place, Record, Relaunch, Rest, Stop, decide, failed
from lazulite.engine.jobs.environment import EnvironmentPlanner
from lazulite.engine.jobs.facts import gather
from lazulite.engine.jobs.finish import register_outputs
from lazulite.engine.jobs.plan import Planned, build, described, timeout_s
from lazulite.engine.jobs.record import JOBS, is_command, save
from lazulite.engine.settings import EngineSettings, Tokens
from lazulite.engine.states import advance
from lazulite.model import job_status
from lazulite.model.job_status import ACTIVE, JobOutput, JobState, JobStatus
from lazulite.resources import places
from lazulite.store import resources
from lazulite.store.database import Database, changed
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Resource
from lazulite.store.tables import resources as table

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Live:
    """A run that goes on, and the number of the row of its job."""

    row: int
    backend: Backend
    handle: Handle


class JobController:
    """`wake` makes other items due: keys as a commit would announce them."""

    name = "jobs"

    def __init__(
        self,
        database: Database,
        backends: Mapping[str, Backend],
        settings: EngineSettings,
        storage: StorageLocator,
        tokens: Tokens,
        environments: EnvironmentPlanner,
        clock: Clock,
        wake: Callable[[Iterable[str]], None],
    ) -> None:
        self._database = database
        self._backends = backends
        self._settings = settings
        self._storage = storage
        self._tokens = tokens
        self._environments = environments
        self._clock = clock
        self._wake = wake
        self._live: dict[str, _Live] = {}

    def runs_below(self, scope: str) -> bool:
        """Whether this server knows of a run that goes on at or below `scope` (a key)."""
        return any(key == scope or key.startswith(f"{scope}/") for key in self._live)

    def item(self, changed_key: str) -> str | None:
        return changed_key if changed_key.rsplit("/", 2)[-2:-1] == ["jobs"] else None

    async def pending(self) -> Iterable[str]:
        keys = sa.select(table.c.key).where(table.c.type == JOBS, table.c.state.in_([s.value for s in ACTIVE]))
        return await self._database.read(lambda c: list(c.scalars(keys)))

    async def reconcile(self, item: str) -> float | None:
        job = await self._database.read(lambda c: resources.get(c, item))
        live = self._live.get(item)
        if live is not None and (job is None or job.sequence != live.row):
            again = await self._abandon(item, live)
            return again if job is None or again is not None else 0.0
        if job is None:
            return None
        if not is_command(job):
            return None
        status = job_status.read(job.status)
        if status.terminal:
            await self._leave_reason(job, status)  # of an end that another controller wrote
            return None
        cancel = job.spec.get("desired") == "Canceled"
        status, observation = await self._observe(job, status, cancel)
        return await self._do(job, status, decide(status, cancel, observation, self._now()))

    async def plan(self, job: Resource, token: str) -> Planned:
        """What the agent of a job would be told if it began now, with that token. Raises ApiError."""
        return await self._plan(job, job_status.read(job.status), token)

    async def _observe(self, job: Resource, status: JobStatus, cancel: bool) -> tuple[JobStatus, Observation | None]:
        """How the run stands; a run that a server started and did not live to note is found again first."""
        backend = self._backend(status)
        if status.handle is None and status.nodes is not None and (cancel or status.evict is not None):
            handle = await backend.find(_run_key(job, status))
            if handle is not None:
                outputs = await self._outputs(job)
                status = msgspec.structs.replace(status, handle=handle, backend=backend.name, outputs=outputs)
        if status.handle is None:
            return status, None
        self._live[job.key] = _Live(job.sequence, backend, status.handle)
        return status, await backend.inspect(status.handle)

    async def _outputs(self, job: Resource) -> dict[str, JobOutput]:
        """Where a run writes that was started and not noted; nothing where what the job refers to is gone by now."""
        try:
            return described(job, await self._database.read(lambda c: gather(c, job, self._storage, None)))
        except ApiError:
            return {}

    async def _do(self, job: Resource, status: JobStatus, action: Action) -> float | None:
        match action:
            case Rest(again):
                return again
            case Place():
                self._wake([POOL])
                return None
            case Launch():
                return await self._launch(job, status)
            case Relaunch(counted):
                return await self._launch(job, counted)
            case Record(following, release, again):
                await self._database.write(lambda c: _store(c, job, following, release=release))
                if release and status.handle is not None:
                    await self._forget(job.key, status)
                return again
            case Stop(following):
                if following != job_status.read(job.status):
                    await self._database.write(lambda c: _store(c, job, following, release=False))
                if following.handle is not None:
                    await self._backend(following).stop(following.handle, self._settings.grace_s)
                return steps.LOOK_S
            case Finish(ending):
                return await self._finish(job, ending)

    async def _launch(self, job: Resource, status: JobStatus) -> float | None:
        backend = self._backend(status)
        try:
            planned = await self._plan(job, status)
        except ApiError as error:
            return await self._finish(job, failed(status, error.code, error.message, self._now()))
        except UnsafePath as error:
            return await self._finish(job, failed(status, "UserError/InvalidPath", f"{error}", self._now()))
        except sa.exc.SQLAlchemyError:
            raise  # passes: the loop tries again
        except Exception as error:
            log.exception("no plan could be made for job %s", job.name)
            message = f"The job could not be prepared: {type(error).__name__}: {error}"
            return await self._finish(job, failed(status, "InternalError", message, self._now()))
        try:
            handle = await backend.start(_run_key(job, status), planned.plan, planned.secrets)
        except BackendError as error:
            return await self._refused(job, status, error)
        self._live[job.key] = _Live(job.sequence, backend, handle)
        begun = msgspec.structs.replace(
            status if status.state is JobState.PREPARING else advance(status, JobState.PREPARING, self._now()),
            handle=handle,
            backend=backend.name,
            outputs=planned.outputs,
            activity=None,
            notes=[*status.notes, *(note for note in planned.notes if note not in status.notes)],
        )
        await self._database.write(lambda c: _store(c, job, begun, release=False))
        return steps.LOOK_S

    async def _plan(self, job: Resource, status: JobStatus, token: str | None = None) -> Planned:
        facts = await self._database.read(lambda c: gather(c, job, self._storage, status.compute))
        environment = await self._environments.plan(facts)
        if token is None:
            submitter = str(job.spec.get("submittedBy", ""))
            token = self._tokens.job_token(facts.workspace, job.name, submitter, timeout_s(job.properties))
        return build(job, facts, environment, self._settings, self._storage, token)

    async def _refused(self, job: Resource, status: JobStatus, error: BackendError) -> float | None:
        """A start that failed is tried again a few times: one event of a backend never ends a job."""
        if status.launches + 1 >= steps.MAX_LAUNCHES:
            message = f"The job could not be started in {steps.MAX_LAUNCHES} attempts. The last: {error}"
            return await self._finish(job, failed(status, "LaunchFailed", message, self._now()))
        log.warning("job %s could not be started: %s", job.name, error)
        counted = msgspec.structs.replace(status, launches=status.launches + 1)
        await self._database.write(lambda c: _store(c, job, counted, release=False))
        return 0.2 * 2.0**status.launches

    async def _finish(self, job: Resource, ending: JobStatus) -> float | None:
        location = self._settings.location
        if job.spec.get("controls"):
            now = self._now()
            ending = await self._database.read(lambda c: controls.settle(c, self._storage, job, ending, now))
        await self._leave_reason(job, ending)
        await self._database.write(lambda c: _store(c, job, register_outputs(c, job, ending, location), release=True))
        if ending.handle is not None:
            await self._forget(job.key, ending)
        return None

    async def _leave_reason(self, job: Resource, ending: JobStatus) -> None:
        name = reason.name_of(ending)
        if name is None:
            return
        workspace = arm_id.workspace_of(job.id)
        path = await self._database.read(lambda c: places.artifact_path(c, workspace, self._storage, job.name, name))
        if path is not None:
            try:
                await asyncio.to_thread(reason.leave, path, ending)
            except OSError:
                log.exception("the log of job %s could not be written", job.name)

    async def _forget(self, key: str, status: JobStatus) -> None:
        """What is lost here by a crash, `retain` makes good at the next start."""
        self._live.pop(key, None)
        if status.handle is not None:
            await self._backend(status).forget(status.handle)

    async def _abandon(self, key: str, live: _Live) -> float | None:
        """The job's row is gone: end and forget its run. A job that has its name by now waits for that."""
        observation = await live.backend.inspect(live.handle)
        if observation.outcome is None and observation.alive:
            await live.backend.stop(live.handle, self._settings.grace_s)
            return 1.0
        del self._live[key]
        await live.backend.forget(live.handle)
        self._wake([POOL])
        return None

    def _backend(self, status: JobStatus) -> Backend:
        """The backend that has the run; for a new run the first one of the server's."""
        return self._backends[status.backend or next(iter(self._backends))]

    def _now(self) -> str:
        return iso(self._clock())


def active_runs(connection: Connection) -> list[RunKey]:
    """The runs that belong to jobs that are not over: what a backend must keep at a server's start."""
    found = resources.in_states(connection, JOBS, [state.value for state in ACTIVE])
    return [_run_key(job, job_status.read(job.status)) for job in found]


def _run_key(job: Resource, status: JobStatus) -> RunKey:
    return RunKey(arm_id.workspace_of(job.id), job.name, job.key, status.attempt, job.sequence)


def _store(connection: Connection, job: Resource, status: JobStatus, *, release: bool) -> None:
    save(connection, job, status)
    if release:
        changed(connection, [POOL])
