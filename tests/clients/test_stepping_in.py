"""The command line's `job debug` and `job rerun`, on pipelines made with the SDK."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl
from azure.ai.ml.entities import Environment, Job
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def failed(ml_client: MLClient, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A pipeline whose second step fails."""
    ml_client.environments.create_or_update(Environment(name="bare", version="1", image="library/python:3.11"))
    code = tmp_path_factory.mktemp("code")
    (code / "script.py").write_text("import sys; print('in script', open(sys.argv[1] + '/a.txt').read())\n")
    make = command(
        name="make",
        outputs={"made": Output(type="uri_folder")},
        command="echo word > ${{outputs.made}}/a.txt",
        environment="bare:1",
    )
    use = command(
        name="use",
        inputs={"folder": Input(type="uri_folder")},
        outputs={"written": Output(type="uri_folder")},
        code=str(code),
        command="python script.py ${{inputs.folder}}; echo bad > ${{outputs.written}}/b.txt; exit 4",
        environment="bare:1",
        environment_variables={"COLOUR": "blue"},
    )

    @dsl.pipeline(default_compute="serverless")
    def both() -> None:
        first = make()
        use(folder=first.outputs.made)

    return ended(ml_client, ml_client.jobs.create_or_update(both()).name)


def test_debug_runs_a_command_where_the_step_ran(server: RunningServer, failed: Job) -> None:
    text = "pwd; ls; python script.py ${{inputs.folder}}; echo $COLOUR; echo new > ${{outputs.written}}/c.txt"
    done = lazulite(server, "job", "debug", failed.name, "--node", "use", "--", text)
    assert done.returncode == 0, done.stderr
    assert "script.py" in done.stdout
    assert "in script word" in done.stdout
    assert "blue" in done.stdout
    scratch = Path(done.stderr.split("outputs and logs go to ")[1].splitlines()[0])
    assert (scratch / "outputs" / "written" / "c.txt").read_text() == "new\n"
    assert not list(server.home.glob("storage/**/c.txt"))
    assert lazulite(server, "job", "debug", failed.name, "--node", "use", "--", "exit 7").returncode == 7


def test_debug_says_what_is_wrong(server: RunningServer, failed: Job) -> None:
    assert "it has: first, use" in lazulite(server, "job", "debug", failed.name, "--node", "us", "--", "ls").stderr
    assert "name one of its steps" in lazulite(server, "job", "debug", failed.name, "--", "ls").stderr
    assert "There is no job 'nothing'" in lazulite(server, "job", "debug", "nothing", "--", "ls").stderr


def test_rerun(server: RunningServer, ml_client: MLClient, failed: Job) -> None:
    done = lazulite(server, "job", "rerun", failed.name)
    assert done.returncode == 0, done.stderr
    again = ended(ml_client, done.stdout.strip())
    found = {child.display_name: child for child in ml_client.jobs.list(parent_job_name=again.name)}
    assert found["first"].properties["azureml.isreused"] == "true"
    assert found["use"].status == "Failed"


def lazulite(server: RunningServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    verbs, rest = arguments[:2], arguments[2:]
    return subprocess.run(
        [sys.executable, "-m", "lazulite.cli.main", *verbs, "--home", str(server.home), *rest],
        capture_output=True,
        text=True,
        timeout=60,
    )


def ended(ml_client: MLClient, name: str) -> Job:
    deadline = time.monotonic() + 60
    while (job := ml_client.jobs.get(name)).status not in ("Completed", "Failed"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return job
