"""The controller of all computes: one item, since jobs of one cluster may have to wait for nodes of another."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.clock import Clock, iso
from lazulite.engine import pools
from lazulite.engine.allocation import Allocation, Demand, allocate
from lazulite.engine.jobs.decide import failed
from lazulite.engine.jobs.record import JOBS, is_command, save
from lazulite.engine.settings import EngineSettings
from lazulite.engine.states import advance
from lazulite.model import job_status
from lazulite.model.job_status import ACTIVE, JobState, JobStatus
from lazulite.store import resources
from lazulite.store.database import Database
from lazulite.store.resources import Resource
from lazulite.store.tables import resources as table

COMPUTES = "microsoft.machinelearningservices/workspaces/computes"
#: The key to announce when places may have changed hands.
POOL = "computes"

_Jobs = dict[str, tuple[Resource, JobStatus]]
#: By key: the etag, and the job with its status; None for a job that needs no place.
_Known = dict[str, tuple[str, tuple[Resource, JobStatus] | None]]

_ETAGS = (
    sa.select(table.c.key, table.c.etag)
    .where(table.c.type == JOBS, table.c.state.in_([state.value for state in ACTIVE]))
    .order_by(table.c.sequence)
)


class ComputeController:
    """Grows and shrinks clusters, starts and stops instances, and gives jobs their places."""

    name = "computes"

    def __init__(self, database: Database, settings: EngineSettings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._known: _Known = {}
        self._asked: dict[str, tuple[str, Demand]] = {}  # by key: the etag, and what the job asks for

    def item(self, changed_key: str) -> str | None:
        is_compute = changed_key == POOL or changed_key.rsplit("/", 2)[-2:-1] == ["computes"]
        return POOL if is_compute else None

    async def pending(self) -> Iterable[str]:
        return [POOL]

    async def reconcile(self, item: str) -> float | None:
        return await self._database.write(self._pass)

    def _pass(self, connection: Connection) -> float | None:
        now = self._clock().timestamp()
        jobs = self._active_jobs(connection)
        computes = resources.under(connection, "/subscriptions", COMPUTES)
        demands = [self._demand(key, *known) for key, known in jobs.items() if _wants(*known)]
        computes, again = self._instances(connection, computes, demands, now)
        decided = allocate(
            [pools.pool(compute, now, self._settings.cores_of) for compute in computes],
            demands,
            now,
            boot_s=self._settings.node_boot_seconds,
            node_limit=self._settings.node_limit,
        )
        self._store_clusters(connection, computes, decided, jobs, now)
        self._store_jobs(connection, decided, jobs)
        return min((s for s in (again, decided.again) if s is not None), default=None)

    def _active_jobs(self, connection: Connection) -> _Jobs:
        """The command jobs that are not over, oldest first; only those that changed since the last pass are read."""
        etags = {row.key: row.etag for row in connection.execute(_ETAGS)}
        changed = [key for key, etag in etags.items() if key not in self._known or self._known[key][0] != etag]
        for key in self._known.keys() - etags.keys():
            del self._known[key]
            self._asked.pop(key, None)
        for job in resources.get_many(connection, changed):
            self._known[job.key] = (job.etag, (job, job_status.read(job.status)) if is_command(job) else None)
        found = {key: self._known[key][1] for key in etags}
        return {key: pair for key, pair in found.items() if pair is not None}

    def _demand(self, key: str, job: Resource, status: JobStatus) -> Demand:
        known = self._asked.get(key)
        if known is None or known[0] != job.etag:
            known = self._asked[key] = (job.etag, pools.demand(job, status))
        return known[1]

    def _instances(
        self, connection: Connection, computes: list[Resource], demands: list[Demand], now: float
    ) -> tuple[list[Resource], float | None]:
        """Move compute instances on; return the computes as they are then."""
        again: list[float] = []
        moved = []
        for compute in computes:
            if str(compute.properties.get("computeType", "")).lower() == "computeinstance":
                busy = any(d.pool == compute.key and d.nodes is not None for d in demands)
                status, left = pools.instance_status(
                    compute.status,
                    str(compute.spec.get("desired", "Started")),
                    compute.spec.get("restarts"),
                    busy,
                    now,
                    self._settings.node_boot_seconds,
                )
                again += [left] if left is not None else []
                compute = _update(connection, compute, status)
            moved.append(compute)
        return moved, min(again, default=None)

    def _store_clusters(
        self, connection: Connection, computes: list[Resource], decided: Allocation, jobs: _Jobs, now: float
    ) -> None:
        names = {key: job.name for key, (job, _) in jobs.items()}
        for compute in computes:
            pool = decided.pools[compute.key]
            if pool.kind == "cluster":
                _update(connection, compute, pools.cluster_status(compute.status, pool, names, now))
            elif pool.kind == "attached":
                _update(connection, compute, {**compute.status, "state": "Succeeded"})

    def _store_jobs(self, connection: Connection, decided: Allocation, jobs: _Jobs) -> None:
        now = iso(self._clock())
        for key, (job, status) in jobs.items():
            changed = self._job(key, job, status, decided, now)
            if changed != status:
                save(connection, job, changed)

    def _job(self, key: str, job: Resource, status: JobStatus, decided: Allocation, now: str) -> JobStatus:
        if key in decided.failed:
            return failed(status, *decided.failed[key], now)
        if status.state is JobState.NOT_STARTED and _wants(job, status):
            status = advance(status, JobState.QUEUED, now)
        if key in decided.placed:
            compute = pools.compute_key(job)
            nodes = list(decided.placed[key])
            return msgspec.structs.replace(status, nodes=nodes, compute=compute, activity=None)
        if key in decided.evicted:
            return msgspec.structs.replace(status, evict=decided.evicted[key])
        if key in decided.waiting:
            return msgspec.structs.replace(status, activity=decided.waiting[key])
        return status


def _wants(job: Resource, status: JobStatus) -> bool:
    """Whether a job counts: it holds a place, or waits for one and is not to be cancelled."""
    return status.nodes is not None or job.spec.get("desired") != "Canceled"


def _update(connection: Connection, compute: Resource, status: resources.Json) -> Resource:
    if status == compute.status and compute.state == status["state"]:
        return compute
    changed = compute.with_(status=status, state=status["state"])
    return resources.update(connection, changed, etag=compute.etag)
