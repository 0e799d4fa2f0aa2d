"""The command line's `job list`, `show`, `graph`, `logs` and `cancel`, on a pipeline made with the SDK."""

import json
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl
from azure.ai.ml.entities import Environment, Job
from azure.ai.ml.exceptions import JobException
from tests.clients.test_pipelines import ended
from tests.clients.test_stepping_in import command_line, lazulite
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def job(ml_client: MLClient) -> Job:
    """A pipeline with another one in it, of whose steps one fails."""
    ml_client.environments.create_or_update(Environment(name="bare", version="1", image="library/python:3.11"))
    folder = {"outputs": {"made": Output(type="uri_folder")}, "environment": "bare:1"}
    make = command(name="make", command="echo hello from make; date > ${{outputs.made}}/d", **folder)
    given = {"data": Input(type="uri_folder")}
    clean = command(name="clean", inputs=given, command="cp ${{inputs.data}}/d ${{outputs.made}}", **folder)
    train = command(
        name="train", inputs=given, command="""python -c 'print("hm"); raise ValueError("no <price>")'""", **folder
    )

    @dsl.pipeline()
    def preparation(data: Input(type="uri_folder")):  # type: ignore[no-untyped-def, valid-type]
        cleaned = clean(data=data)
        return {"made": cleaned.outputs.made}

    @dsl.pipeline(default_compute="serverless", display_name="House prices", experiment_name="looking")
    def whole() -> None:
        first = make()
        prepare = preparation(data=first.outputs.made)
        train(data=prepare.outputs.made)

    return ended(ml_client, ml_client.jobs.create_or_update(whole()).name)


def said(server: RunningServer, *arguments: str, code: int = 0) -> str:
    done = lazulite(server, "job", *arguments)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_list(server: RunningServer, job: Job) -> None:
    lines = said(server, "list", "--experiment", "looking").splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "KIND", "EXPERIMENT", "CREATED", "DISPLAY", "NAME"]
    assert [line.split()[:4] for line in lines[1:]] == [[job.name, "Failed", "pipeline", "looking"]]
    assert [one["name"] for one in json.loads(said(server, "list", "--experiment", "looking", "-o", "json"))] == [
        job.name
    ]
    assert said(server, "list", "--experiment", "nothing").splitlines() == [
        "NAME  STATUS  KIND  EXPERIMENT  CREATED  DISPLAY NAME"
    ]


def test_show(server: RunningServer, job: Job) -> None:
    shown = said(server, "show", job.name)
    assert "House prices" in shown
    assert "1 failed · 2 completed; `lazulite job graph" in shown
    step = said(server, "show", job.name, "--node", "train")
    assert f"step of       {job.name}\n" in step
    assert "ValueError: no <price>" in step
    assert "data: azureml://" in step
    assert json.loads(said(server, "show", job.name, "-o", "json"))["properties"]["displayName"] == "House prices"


def test_graph_on_a_terminal_that_is_none(server: RunningServer, job: Job) -> None:
    lines = said(server, "graph", job.name).splitlines()
    assert lines[0].startswith(f"✗ House prices  {job.name}  failed · ")
    assert "3 steps: 1 failed · 2 completed" in lines[1]
    assert [line.split()[1] for line in lines[3:7]] == ["first", "prepare", "cleaned", "train"]
    assert lines[7] == "    ValueError: no <price>"
    assert "cleaned" not in said(server, "graph", job.name, "--depth", "0")
    assert said(server, "graph", job.name, "--watch", code=1).splitlines()[0] == lines[0]


def test_graph_in_a_file(server: RunningServer, job: Job, tmp_path: Path) -> None:
    target = tmp_path / "graph.svg"
    assert said(server, "graph", job.name, "-o", str(target)) == f"{target}\n"
    assert "ValueError: no <price>" in "".join(ElementTree.fromstring(target.read_text()).itertext())
    said(server, "graph", job.name, "-o", str(tmp_path / "graph.html"))
    page = (tmp_path / "graph.html").read_text()
    assert f"lazulite job debug {job.name} --node train --home {server.home}" in page
    assert ".svg or .html" in lazulite(server, "job", "graph", job.name, "-o", "graph.png").stderr


def test_logs(server: RunningServer, job: Job) -> None:
    assert re.search(r"Step 'train' is Failed \(run \S+\): ValueError: no <price>\n", said(server, "logs", job.name))
    assert said(server, "logs", job.name, "--node", "first") == "hello from make\n"
    assert "ValueError: no <price>" in said(server, "logs", job.name, "--node", "train", "-f", code=1)
    assert (
        said(server, "logs", job.name, "--node", "prepare/cleaned", "--list")
        == "user_logs/std_log.txt\nsystem_logs/agent.log\n"
    )
    missing = lazulite(server, "job", "logs", job.name, "--node", "train", "--file", "nothing").stderr
    assert "has no log 'nothing'\n  -> it has: user_logs/std_log.txt" in missing


def test_following_and_cancelling(server: RunningServer, ml_client: MLClient, job: Job) -> None:
    waits = command(command="echo one; sleep 0.1; echo two; sleep 60", environment="bare:1", compute="serverless")
    name = ml_client.jobs.create_or_update(waits).name
    arguments = command_line(server, "job", "logs", name, "-f")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        assert [follower.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]
        assert said(server, "cancel", name).strip() in ("Running", "CancelRequested", "Canceled")
        rest, told = follower.communicate(timeout=60)
    assert rest == ""
    assert told.splitlines()[-1] == f"lazulite: '{name}' is canceled"
    assert follower.returncode == 1


def test_a_job_that_fails_before_its_launch_has_the_reason_in_its_log(
    server: RunningServer, ml_client: MLClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no_r = Environment(name="no-r", image="library/python:3.11", conda_file={"dependencies": ["r-base=4"]})
    failing = command(command="true", environment=ml_client.environments.create_or_update(no_r), compute="serverless")
    job = ended(ml_client, ml_client.jobs.create_or_update(failing).name)
    why = "'r-base' cannot be installed without conda"
    assert why in said(server, "logs", job.name)
    assert said(server, "logs", job.name, "--list") == "azureml-logs/20_image_build_log.txt\n"
    ml_client.jobs.download(job.name, download_path=str(tmp_path), all=True)
    (log,) = tmp_path.rglob("20_image_build_log.txt")
    assert why in log.read_text()
    with pytest.raises(JobException):
        ml_client.jobs.stream(job.name)
    assert f"{why}" in capsys.readouterr().out
