"""Parallel jobs through the unmodified SDK: mini-batches of files, appended rows, retries, thresholds, refusals."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, dsl
from azure.ai.ml.entities import AmlCompute, Environment, Job
from azure.ai.ml.exceptions import JobException
from azure.ai.ml.parallel import RunFunction, parallel_run_function

pytestmark = pytest.mark.clients

SCRIPT = """
import argparse, os, pathlib, sys
def init():
    global mark
    parser = argparse.ArgumentParser()
    parser.add_argument("--mark")
    parser.add_argument("--tries")
    options = parser.parse_args()
    mark = options.mark
    print("init done")
def run(mini_batch):
    names = [os.path.basename(path) for path in mini_batch]
    if "2.txt" in names and MODE == "once" and not os.path.exists("tried"):
        pathlib.Path("tried").touch()
        raise ValueError("not the first time")
    if "2.txt" in names and MODE == "always":
        raise ValueError("never")
    return [f"{mark} {name} {pathlib.Path(path).read_text().strip()}" for name, path in zip(names, mini_batch)]
def shutdown():
    print("shutdown done")
"""


@pytest.fixture(scope="module", autouse=True)
def _things(ml_client: MLClient) -> None:
    ml_client.environments.create_or_update(Environment(name="bare", version="1", image="library/python:3.11"))
    ml_client.compute.begin_create_or_update(
        AmlCompute(name="cpu-cluster", size="STANDARD_DS3_v2", max_instances=4)
    ).result()


@pytest.fixture
def submit(ml_client: MLClient, tmp_path: Path) -> Callable[..., Job]:
    def submitted(mode: str, kind: str = "uri_folder", **more: Any) -> Job:
        code, data = tmp_path / "src", tmp_path / "data"
        code.mkdir()
        data.mkdir()
        (code / "score.py").write_text(f"MODE = {mode!r}\n{SCRIPT}")
        (data / "MLTable").write_text("paths:\n  - pattern: ./*.txt\n") if kind == "mltable" else None
        for number in range(5):
            (data / f"{number}.txt").write_text(f"value {number}\n")
        settings = {
            "mini_batch_size": "2",
            "max_concurrency_per_instance": 2,
            "retry_settings": {"max_retries": 1, "timeout": 30},
            "mini_batch_error_threshold": 0,
            **more,
        }
        scored = parallel_run_function(
            name="score_files",
            inputs={"data": Input(type=kind), "mark": Input(type="string", default="seen")},
            outputs={"rows": Output(type="uri_file")},
            input_data="${{inputs.data}}",
            instance_count=1,
            task=RunFunction(
                code=str(code),
                entry_script="score.py",
                program_arguments="--mark ${{inputs.mark}}",
                environment="azureml:bare:1",
                append_row_to="${{outputs.rows}}",
            ),
            **settings,
        )

        @dsl.pipeline(default_compute="cpu-cluster")
        def scoring(folder) -> dict[str, Any]:  # type: ignore[no-untyped-def]
            step = scored(data=folder)
            return {"rows": step.outputs.rows}

        return ml_client.jobs.create_or_update(scoring(Input(type=kind, path=str(data))))

    return submitted


def ended(ml_client: MLClient, name: str) -> Job:
    deadline = time.monotonic() + 120
    while (job := ml_client.jobs.get(name)).status not in ("Completed", "Failed", "Canceled"):
        assert time.monotonic() < deadline, f"{name} is still {job.status}"
        time.sleep(0.1)
    return job


def test_every_file_once_also_where_a_mini_batch_is_tried_again(
    ml_client: MLClient, submit: Callable[..., Job], tmp_path: Path
) -> None:
    done = ended(ml_client, submit("once").name)
    assert done.status == "Completed"
    ml_client.jobs.download(done.name, output_name="rows", download_path=str(tmp_path / "down"))
    file = next(path for path in (tmp_path / "down").rglob("*") if path.is_file())
    assert file.read_text().splitlines() == [f"seen {number}.txt value {number}" for number in range(5)]


def test_the_error_threshold_fails_the_step(ml_client: MLClient, submit: Callable[..., Job]) -> None:
    done = ended(ml_client, submit("always").name)
    assert done.status == "Failed"
    with pytest.raises(JobException, match="1 mini-batches failed, and mini_batch_error_threshold bears 0"):
        ml_client.jobs.stream(done.name)


def test_failures_below_the_threshold_are_borne(ml_client: MLClient, submit: Callable[..., Job]) -> None:
    assert ended(ml_client, submit("always", mini_batch_error_threshold=1).name).status == "Completed"
