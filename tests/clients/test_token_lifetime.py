"""Tokens that run out: clients outside a job fetch the next one, and a job's own outlives the job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.ai.ml import MLClient, command
from azure.identity import ManagedIdentityCredential
from tests.clients.raw_requests import Bad, send
from tests.clients.small_jobs import BARE
from tests.server_fixture import WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients
_LIFETIME_S = 2
_MONTH_S = 30 * 24 * 3600
#: Run inside a job, with the standard library alone.
_IN_A_JOB = """
import base64, json, os, sys, time, urllib.request

lifetime, limit = map(int, sys.argv[1:])

def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

def ask(url, token):
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token})
    return json.load(urllib.request.urlopen(request))

token, run = os.environ["MLFLOW_TRACKING_TOKEN"], os.environ["MLFLOW_RUN_ID"]
assert claims(token)["exp"] - claims(token)["iat"] > limit, claims(token)
time.sleep(lifetime + 1)
mine = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/get?run_id=" + run
assert ask(mine, token)["run"]["info"]["run_id"] == run
renewal = "/history/v1.0%s/experimentids/%s/runs/%s/token" % (
    os.environ["AZUREML_WORKSPACE_SCOPE"], os.environ["AZUREML_EXPERIMENT_ID"], run)
for _ in range(2):
    renewed = ask(os.environ["AZUREML_SERVICE_ENDPOINT"] + renewal, token)["token"]
    assert claims(renewed)["exp"] - claims(renewed)["iat"] == lifetime
    assert ask(mine, renewed)["run"]["info"]["run_id"] == run
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("server") / "home")
    running.home.mkdir()
    running.settings["token_lifetime_seconds"] = str(_LIFETIME_S)
    running.start()
    running.activate()
    yield running
    running.stop()


def test_a_client_fetches_the_next_token_and_goes_on(server: RunningServer, ml_client: MLClient) -> None:
    token = ManagedIdentityCredential().get_token("https://ml.azure.com/.default")
    with_token = Bad("", "GET", f"{WORKSPACE_ID}/jobs", headers={"Authorization": f"Bearer {token.token}"})
    assert send(server, with_token)[0] == 200
    before = [store.name for store in ml_client.datastores.list()]
    time.sleep(max(0.0, token.expires_on + 0.1 - time.time()))
    status, refused = send(server, with_token)
    assert (status, refused["error"]["code"]) == (401, "AuthenticationFailed")
    assert [store.name for store in ml_client.datastores.list()] == before


def test_a_jobs_token_outlives_its_limit_and_is_renewed(ml_client: MLClient, tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(_IN_A_JOB)
    ml_client.environments.create_or_update(BARE)
    job = command(command=f"python check.py {_LIFETIME_S} {_MONTH_S}", code=str(tmp_path), environment="bare:1")
    job.set_limits(timeout=_MONTH_S)
    submitted = ml_client.jobs.create_or_update(job)
    ml_client.jobs.stream(submitted.name)
    assert ml_client.jobs.get(submitted.name).status == "Completed"
