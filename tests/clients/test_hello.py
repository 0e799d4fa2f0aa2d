"""The thinnest thread: a job submitted, run, streamed and downloaded by the unmodified SDK."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.ai.ml import MLClient, Output, command
from azure.ai.ml.entities import AmlCompute

pytestmark = pytest.mark.clients


def test_hello_world(ml_client: MLClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ml_client.compute.begin_create_or_update(
        AmlCompute(name="cpu-cluster", size="STANDARD_DS3_v2", min_instances=0, max_instances=2)
    ).result()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "hello.py").write_text(
        "import os, sys\nprint('hello', sys.argv[2])\n"
        "open(os.path.join(sys.argv[1], 'o.txt'), 'w').write('out')\n"
        "os.makedirs('outputs', exist_ok=True)\nopen('outputs/m.txt', 'w').write('m')\n"
    )
    job = command(
        command="python hello.py ${{outputs.made}} ${{inputs.who}}",
        code=str(tmp_path / "src"),
        environment=_bare(ml_client),
        compute="cpu-cluster",
        inputs={"who": "world"},
        outputs={"made": Output(type="uri_folder")},
        display_name="hello",
        experiment_name="greetings",
    )
    submitted = ml_client.jobs.create_or_update(job)
    ml_client.jobs.stream(submitted.name)
    assert "hello world" in capsys.readouterr().out
    done = ml_client.jobs.get(submitted.name)
    assert (done.status, done.display_name, done.experiment_name) == ("Completed", "hello", "greetings")
    ml_client.jobs.download(submitted.name, all=True, download_path=str(tmp_path / "down"))
    assert (tmp_path / "down" / "named-outputs" / "made" / "o.txt").read_text() == "out"
    assert (tmp_path / "down" / "artifacts" / "outputs" / "m.txt").read_text() == "m"
    assert "hello world" in (tmp_path / "down" / "artifacts" / "user_logs" / "std_log.txt").read_text()


def _bare(ml_client: MLClient) -> str:
    from azure.ai.ml.entities import Environment

    made = ml_client.environments.create_or_update(Environment(name="bare", image="library/python:3.11"))
    return f"{made.name}:{made.version}"
