"""Jobs with public inputs on a machine without a network: local folders stand for addresses."""

import time
from collections.abc import Iterator

import pytest
from azure.ai.ml import Input, MLClient, command, dsl
from azure.ai.ml.entities import Job
from azure.ai.ml.exceptions import JobException
from tests.clients.small_jobs import BARE, ended, steps
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients
HOST = "public.blob.core.windows.net"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("mirrored")
    (root / "data" / "deep").mkdir(parents=True)
    (root / "data" / "deep" / "a b.csv").write_text("mirrored\n")
    running = RunningServer(root / "home")
    running.home.mkdir()
    (running.home / "settings.toml").write_text(f'[url_mirror]\n"https://{HOST}/datasets" = "{root / "data"}"\n')
    running.start()
    running.activate()
    yield running
    running.stop()


@pytest.mark.parametrize(
    "address",
    [
        f"https://{HOST}/datasets/deep/a%20b.csv",
        f"wasbs://datasets@{HOST}/deep/a%20b.csv",
        "abfss://datasets@public.dfs.core.windows.net/deep/a%20b.csv",
    ],
)
def test_mapped_address(server: RunningServer, ml_client: MLClient, address: str) -> None:
    job = submitted(ml_client, address)
    assert job.status == "Completed"
    text = next(server.home.glob(f"storage/*/azureml/ExperimentRun/dcid.{job.name}/user_logs/std_log.txt")).read_text()
    assert text == "mirrored\n"


def test_nothing_at_a_mapped_address(ml_client: MLClient) -> None:
    job = submitted(ml_client, f"https://{HOST}/datasets/missing.csv")
    with pytest.raises(JobException, match="url_mirror"):
        ml_client.jobs.stream(job.name)


def test_address_that_cannot_be_reached_names_the_setting(ml_client: MLClient) -> None:
    began = time.monotonic()
    job = submitted(ml_client, "http://127.0.0.1:9/nothing/x.csv")
    assert time.monotonic() - began < 20
    with pytest.raises(JobException) as failure:
        ml_client.jobs.stream(job.name)
    assert "127.0.0.1:9/nothing/x.csv" in str(failure.value)
    assert "url_mirror" in str(failure.value)


def test_path_does_not_leave_the_folder(ml_client: MLClient) -> None:
    job = submitted(ml_client, f"https://{HOST}/datasets/%2e%2e/home/settings.toml")
    assert job.status == "Failed"


def test_a_step_is_reused_while_the_folder_is_as_it_was(server: RunningServer, ml_client: MLClient) -> None:
    ml_client.environments.create_or_update(BARE)
    cat = command(
        name="cat",
        command="cat ${{inputs.data}}/*",
        environment="bare:1",
        inputs={"data": Input(type="uri_folder", path=f"wasbs://datasets@{HOST}/deep")},
    )

    @dsl.pipeline(default_compute="serverless")
    def reading() -> None:
        cat()

    found = []
    for change in (False, False, True):
        if change:
            (server.home.parent / "data/deep/new.csv").write_text("new\n")
        done = ended(ml_client, ml_client.jobs.create_or_update(reading()).name)
        found += ["azureml.isreused" in step.properties for step in steps(ml_client, done.name).values()]
    assert found == [False, True, False]


def submitted(ml_client: MLClient, address: str) -> Job:
    ml_client.environments.create_or_update(BARE)
    asked = command(
        command="cat '${{inputs.data}}'",
        environment="bare:1",
        inputs={"data": Input(type="uri_file", path=address)},
    )
    return ended(ml_client, ml_client.jobs.create_or_update(asked).name, seconds=60)
