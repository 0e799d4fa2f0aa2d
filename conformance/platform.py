"""A workspace for a case, with the computes, data and components it takes for granted."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import lazulite
from conformance.manifest import Case, Expectation
from conformance.sandbox import required

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Job

_FINAL = ("Completed", "Failed", "Canceled", "NotResponding")
_LOOK_EVERY_S = 0.5


class Unmet(Exception):
    """A job did not come to what the manifest says; the message tells how."""


@dataclass
class Place:
    """The case's workspace and a client of it."""

    client: MLClient
    subscription: str
    group: str
    workspace: str
    tracking_uri: str

    def values(self) -> dict[str, str]:
        """What its owner reads from the portal: where it is, and name and key of its storage account."""
        account = str(self.client.workspaces.get().storage_account).rsplit("/", 1)[-1]
        return {
            "subscription": self.subscription,
            "group": self.group,
            "workspace": self.workspace,
            "account": account,
            "key": str(self.client.workspaces.get_keys(self.workspace).user_storage_key),
        }


def make(platform: lazulite.Activation, case: Case, checkout: Path) -> Place:
    """A new workspace with everything the case needs in it."""
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import Workspace
    from azure.identity import DefaultAzureCredential

    name = f"mlw-{re.sub('[^a-z0-9]+', '-', case.name.lower()).strip('-')[:18]}-{uuid.uuid4().hex[:6]}"
    subscription, group = platform.subscription_id, platform.resource_group
    client = MLClient(DefaultAzureCredential(), subscription, group, name)
    with quiet():
        made = client.workspaces.begin_create(Workspace(name=name, location="westus")).result()
        place = Place(client, subscription, group, name, str(made.mlflow_tracking_uri))
        _computes(client, case)
        _files(client, case, checkout)
        _assets(client, case, checkout)
    return place


def load_public_assets(platform: lazulite.Activation, folders: list[Path]) -> None:
    """Put components and environments into the registry `azureml`, as `lazulite registry load` does. Raises Unmet."""
    for folder in folders:
        command = [
            sys.executable,
            "-m",
            "lazulite.cli.main",
            "registry",
            "load",
            str(folder),
            "--home",
            str(platform.home),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unmet(f"{folder} cannot be loaded\n{_tail(done.stdout + done.stderr)}")


def remove(place: Place) -> None:
    with quiet():
        place.client.workspaces.begin_delete(place.workspace, delete_dependent_resources=True).result()


def wait(client: MLClient, seen: int, deadline: float) -> list[Job]:
    """The workspace's jobs, oldest first, when all after the first `seen` have ended. Raises TimeoutError."""
    while True:
        jobs = sorted(client.jobs.list(), key=lambda job: job.creation_context.created_at)
        if all(_status(job) in _FINAL for job in jobs[seen:]):
            return jobs
        if time.monotonic() > deadline:
            states = ", ".join(f"{job.name} {_status(job)}" for job in jobs[seen:])
            raise TimeoutError(f"its jobs have not ended in time: {states}")
        time.sleep(_LOOK_EVERY_S)


def check(place: Place, jobs: list[Job], expected: tuple[Expectation, ...], scratch: Path) -> None:
    """Raises Unmet at the first job that is not what was expected."""
    if len(jobs) != len(expected):
        raise Unmet(f"it submitted {len(jobs)} jobs, and {len(expected)} were expected")
    for job, expectation in zip(jobs, expected, strict=True):
        name = str(job.name)
        log = _log(place.client, name, scratch)
        if _status(job) != expectation.status:
            raise Unmet(f"job {name} is {_status(job)}, not {expectation.status}\n{_tail(log)}")
        for pattern in expectation.log:
            if not re.search(pattern, log):
                raise Unmet(f"the log of job {name} has nothing like /{pattern}/\n{_tail(log)}")
        for output in expectation.outputs:
            if not _output_files(place.client, name, output, scratch):
                raise Unmet(f"output {output} of job {name} holds no file")
        if expectation.children is not None:
            _check_children(place.client, name, expectation.children)
        if missing := set(expectation.metrics) - _metrics(place, name, expectation):
            raise Unmet(f"MLflow knows no metric {', '.join(sorted(missing))} of job {name}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the SDK's progress bars and warnings off the screen."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _status(job: Job) -> str:
    return str(getattr(job.status, "value", job.status))


def _log(client: MLClient, job: str, scratch: Path) -> str:
    folder = scratch / "downloaded" / job
    with quiet():
        client.jobs.download(job, download_path=folder, all=True)
    return "\n".join(path.read_text(errors="replace") for path in sorted(folder.rglob("user_logs/*.txt")))


def _check_children(client: MLClient, job: str, expected: int) -> None:
    states = [_status(child) for child in client.jobs.list(parent_job_name=job)]
    if states != ["Completed"] * expected:
        raise Unmet(f"job {job} has the children {', '.join(states) or 'none'}; expected {expected}, all Completed")


def _output_files(client: MLClient, job: str, output: str, scratch: Path) -> list[Path]:
    folder = scratch / "outputs" / job / output
    with quiet():
        client.jobs.download(job, download_path=folder, output_name=output)
    return [path for path in folder.rglob("*") if path.is_file()]


def _metrics(place: Place, job: str, expectation: Expectation) -> set[str]:
    if not expectation.metrics:
        return set()
    from mlflow import MlflowClient

    return set(MlflowClient(place.tracking_uri).get_run(job).data.metrics)


def _tail(log: str, lines: int = 15) -> str:
    return "\n".join(log.strip().splitlines()[-lines:])


def _computes(client: MLClient, case: Case) -> None:
    from azure.ai.ml.entities import AmlCompute

    for name in case.computes:
        asked = AmlCompute(name=name, size="STANDARD_DS11_V2", max_instances=2)
        client.compute.begin_create_or_update(asked).result()


def _files(client: MLClient, case: Case, checkout: Path) -> None:
    files = {upload.to: upload.file for upload in case.uploads}
    if not files:
        return
    from azure.identity import DefaultAzureCredential
    from azure.storage.blob import ContainerClient

    store = client.datastores.get_default()
    container = ContainerClient(
        f"https://{store.account_name}.blob.core.windows.net", store.container_name, DefaultAzureCredential()
    )
    for to, file in files.items():
        container.upload_blob(to, required(checkout, file).read_bytes(), overwrite=True)


def _assets(client: MLClient, case: Case, checkout: Path) -> None:
    from azure.ai.ml import load_component
    from azure.ai.ml.entities import Data

    for asset in case.assets:
        path = str(required(checkout, asset.path))
        client.data.create_or_update(Data(name=asset.name, path=path, type=asset.type))
    for component in case.components:
        client.components.create_or_update(load_component(required(checkout, component)))
