"""A workspace and an engine over a real database, with time, runs and storage in the test's hands."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from lazulite.backends.base import Backend
from lazulite.backends.fake import FakeBackend
from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.paths import path_beneath
from lazulite.engine import Engine, EngineSettings
from lazulite.engine.jobs.facts import Facts
from lazulite.model import job_status
from lazulite.model.job_status import JobState, JobStatus
from lazulite.model.run_plan import EnvironmentPlan
from lazulite.resources import jobs
from lazulite.store import resources, runs
from lazulite.store.database import Database
from lazulite.store.resources import Json, Resource

WORKSPACE = arm_id.workspace_id("00000000-0000-0000-0000-000000000001", "rg", "w")
ACCOUNT = "acct"


class ManualClock:
    """Time that passes when told to: call it for the date, `monotonic` for seconds."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.seconds, dt.UTC)

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


class FolderStorage:
    """One storage account whose containers are folders."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def own_account(self, account_name: str) -> str | None:
        return ACCOUNT if account_name in (ACCOUNT, f"localhost:8443/storage/v1/{ACCOUNT}/_") else None

    def local_path(self, account: str, container: str, blob_path: str) -> Path | None:
        container_root = self.root / account / container
        container_root.mkdir(parents=True, exist_ok=True)
        return path_beneath(container_root, blob_path) if blob_path else container_root

    def sas_url(self, account: str, container: str, blob_path: str, permissions: str, hours: float) -> str:
        return f"https://localhost/{account}/{container}/{blob_path}?sp={permissions}"

    async def erase(self, account: str, container: str | None, path: str, kept: Collection[str]) -> None:
        root = self.root / account / (container or "")
        for file in [file for file in (root / path).rglob("*") if file.is_file()]:
            name = file.relative_to(root).as_posix()
            if not any(name == one or name.startswith(f"{one}/") for one in kept):
                file.unlink()

    def registered(self, asset: Resource) -> None:
        """Nothing is uploaded here."""


class PlainTokens:
    def job_token(self, workspace: Resource, run_id: str, principal_id: str, limit_s: float | None) -> str:
        return f"token-of-{run_id}"


class BareEnvironments:
    """Every environment is the bare interpreter named."""

    def __init__(self, interpreter: str = "python3") -> None:
        self.interpreter = interpreter

    async def warm(self) -> None:
        pass

    async def plan(self, facts: Facts) -> EnvironmentPlan:
        return EnvironmentPlan(key="bare", name="bare:1", python="3.11", interpreter=self.interpreter)


class EngineWorld:
    """Call `submit`, `compute` and so on, then `settle`; look at `status` and `nodes`."""

    def __init__(
        self,
        root: Path,
        *,
        backend: Backend | None = None,
        database: Database | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.root = root
        self.clock = ManualClock()
        self.database = database or Database(f"sqlite:///{root / 'db.sqlite'}")
        self.fake = FakeBackend(clock=self.clock)
        self.backend: Backend = backend or self.fake
        self.storage = FolderStorage(root / "storage")
        self.environments = BareEnvironments()
        given = {"uv": find_uv_bin(), **(settings or {})}
        self.settings = EngineSettings(home=root, environments_root=root / "environments", **given)
        self._hints: list[str] = []
        self.database.subscribe(self._hints.extend)
        self.engine = self.new_engine()
        if self.database.read_sync(lambda c: resources.get(c, WORKSPACE)) is None:
            self.database.write_sync(_furnish)

    def new_engine(self, database: Database | None = None, backend: Backend | None = None) -> Engine:
        """An engine as after a restart of the server: it knows nothing but the database."""
        self.engine = Engine(
            database or self.database,
            [backend or self.backend],
            self.settings,
            self.storage,
            PlainTokens(),
            self.clock,
            environments=self.environments,
            monotonic=self.clock.monotonic,
        )
        return self.engine

    async def settle(self) -> None:
        """Let the engine do all that is due now, its own hints included."""
        await self.engine.loop.sweep()
        while True:
            await self.engine.loop.settle()
            await self.database.write(lambda c: None)  # the hints of earlier commits have been given by then
            hints, self._hints[:] = list(self._hints), []
            if not hints:
                return
            self.engine.wake(hints)

    def submit(self, name: str, **properties: Any) -> Resource:
        """A command job, as the control plane would store it."""
        spec: Json = {
            "properties": {
                "jobType": "Command",
                "command": "echo hello",
                "environmentId": f"{WORKSPACE}/environments/bare/versions/1",
                "experimentName": "Default",
                **properties,
            },
            "submittedBy": "user-1",
        }
        if "computeId" in properties:
            spec["resolved"] = {"compute": self.compute_id(properties["computeId"])}
        return self.database.write_sync(lambda c: _insert_job(c, name, spec))

    def compute_id(self, name: str) -> str:
        return f"{WORKSPACE}/computes/{name}"

    def compute(self, name: str, kind: str = "AmlCompute", **inner: Any) -> None:
        """A compute; keyword arguments are its inner properties, such as `most=2, least=0, idle="PT60S"`."""
        scale = {
            "minNodeCount": inner.pop("least", 0),
            "maxNodeCount": inner.pop("most", 1),
            "nodeIdleTimeBeforeScaleDown": inner.pop("idle", "PT120S"),
        }
        spec = {"properties": {"computeType": kind, "properties": {"vmSize": "x", "scaleSettings": scale, **inner}}}
        row = resources.new(self.compute_id(name), f"{PROVIDER}/workspaces/computes", spec)
        self.database.write_sync(lambda c: resources.insert(c, row, by="test"))

    def change(self, id_: str, **spec: Any) -> None:
        """What an API handler does: change the desired state."""

        def write(c: Any) -> None:
            found = resources.get(c, id_)
            assert found is not None
            resources.update(c, found.with_(spec={**found.spec, **spec}), by="test")

        self.database.write_sync(write)

    def cancel(self, job: str) -> None:
        self.change(f"{WORKSPACE}/jobs/{job}", desired="Canceled")

    def delete(self, job: str) -> None:
        """What the API's DELETE of a job does."""

        def write(c: Any) -> None:
            found = resources.get(c, f"{WORKSPACE}/jobs/{job}")
            assert found is not None
            jobs.forget(c, self.storage, found)
            resources.delete(c, found.id)

        self.database.write_sync(write)

    def remove(self, id_: str) -> None:
        self.database.write_sync(lambda c: resources.delete(c, id_))

    def status(self, job: str) -> JobStatus:
        found = self.get(f"{WORKSPACE}/jobs/{job}")
        return job_status.read(found.status)

    def states(self, job: str) -> list[str]:
        return [passage.state.value for passage in self.status(job).states]

    def nodes(self, compute: str) -> list[tuple[str, str | None]]:
        """State and job of each node."""
        status = self.get(self.compute_id(compute)).status
        return [(node["state"], node["job"]) for node in status.get("nodes", [])]

    def get(self, id_: str) -> Resource:
        found = self.database.read_sync(lambda c: resources.get(c, id_))
        assert found is not None, id_
        return found

    def run(self, job: str) -> runs.Run:
        found = self.database.read_sync(lambda c: runs.get(c, WORKSPACE, job))
        assert found is not None, job
        return found

    async def close(self) -> None:
        await self.engine.stop()
        self.database.close()


def _insert_job(c: Any, name: str, spec: Json) -> Resource:
    runs.create(
        c, WORKSPACE, name, experiment_name="Default", name=name, user="test", tags={}, status="SCHEDULED", job=True
    )
    new = resources.new(
        f"{WORKSPACE}/jobs/{name}",
        f"{PROVIDER}/workspaces/jobs",
        spec,
        status={"state": JobState.NOT_STARTED.value, "states": []},
        state=JobState.NOT_STARTED.value,
    )
    return resources.insert(c, new, by="test")


def _furnish(c: Any) -> None:
    """A workspace with its default datastores and one environment."""
    rows: Iterable[tuple[str, str, Json]] = [
        (WORKSPACE, "workspaces", {"workspaceId": "11111111-1111-1111-1111-111111111111"}),
        (f"{WORKSPACE}/datastores/workspaceblobstore", "workspaces/datastores", _blob("blobs")),
        (f"{WORKSPACE}/datastores/workspaceartifactstore", "workspaces/datastores", _blob("azureml")),
        (f"{WORKSPACE}/environments/bare/versions/1", "workspaces/environments/versions", {"image": "bare"}),
    ]
    for id_, type_, properties in rows:
        resources.insert(c, resources.new(id_, f"{PROVIDER}/{type_}", {"properties": properties}), by="test")


def _blob(container: str) -> Json:
    return {"datastoreType": "AzureBlob", "accountName": ACCOUNT, "containerName": container}
