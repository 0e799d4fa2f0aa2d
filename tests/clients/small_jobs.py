"""What tests of jobs share: an environment with nothing in it, a cluster, and waiting for the end of a job."""

from __future__ import annotations

import time

from azure.ai.ml import MLClient
from azure.ai.ml.entities import AmlCompute, Environment, Job
from tests.server_fixture import RunningServer

#: The environment `bare:1` is the interpreter alone, which is there at once.
BARE = Environment(name="bare", version="1", image="library/python:3.11")
_LOG = "user_logs/std_log.txt"


def prepare(ml_client: MLClient, *clusters: str, nodes: int = 4) -> None:
    """Make the environment `bare:1` and the clusters, `cpu-cluster` where none is named."""
    ml_client.environments.create_or_update(BARE)
    for name in clusters or ("cpu-cluster",):
        cluster = AmlCompute(name=name, size="STANDARD_DS3_v2", max_instances=nodes)
        ml_client.compute.begin_create_or_update(cluster).result()


def ended(ml_client: MLClient, name: str, *, seconds: float = 180) -> Job:
    """The job once it is over, which it must be within `seconds`."""
    deadline = time.monotonic() + seconds
    while (job := ml_client.jobs.get(name)).status not in ("Completed", "Failed", "Canceled"):
        assert time.monotonic() < deadline, f"{name} is still {job.status}"
        time.sleep(0.1)
    return job


def steps(ml_client: MLClient, name: str) -> dict[str, Job]:
    """The children of a job by their display names, which are the names of a pipeline's nodes."""
    return {str(child.display_name): child for child in ml_client.jobs.list(parent_job_name=name)}


def log(server: RunningServer, job: Job, file: str = _LOG) -> str:
    """A file of a job's logs; nothing where there is none. What the first rank wrote stands for the job's output."""
    logs = next(server.home.glob(f"storage/*/azureml/ExperimentRun/dcid.{job.name}"), None)
    if logs is None:
        return ""
    names = [logs / file] if file != _LOG else sorted(logs.glob("user_logs/std_log*.txt"))
    return next((found.read_text() for found in names if found.exists()), "")
