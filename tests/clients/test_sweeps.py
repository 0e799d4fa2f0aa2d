"""Sweeps through the unmodified SDK: trials, the best of them, early termination, limits, cancelling, refusals."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl, load_job
from azure.ai.ml.entities import Job
from azure.ai.ml.exceptions import JobException
from azure.ai.ml.sweep import (
    BanditPolicy,
    Choice,
    LogNormal,
    LogUniform,
    MedianStoppingPolicy,
    Normal,
    QLogNormal,
    QLogUniform,
    QNormal,
    QUniform,
    Randint,
    RandomSamplingAlgorithm,
    TruncationSelectionPolicy,
    Uniform,
)
from azure.core.exceptions import HttpResponseError
from tests.clients import small_jobs
from tests.clients.small_jobs import ended
from tests.clients.test_stepping_in import lazulite
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients

#: Logs metrics with nothing but the standard library, so that a trial takes no time to begin.
TRACK = """
import json, os, time, urllib.request
def log(key, value, step=0):
    body = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": key, "value": value, "step": step,
            "timestamp": int(time.time() * 1000)}
    request = urllib.request.Request(
        os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric", json.dumps(body).encode(),
        {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"})
    for wait in [0.2] * 100 + [None]:  # as MLflow's own client does while a server restarts
        try:
            return urllib.request.urlopen(request).read()
        except urllib.error.URLError:
            if wait is None:
                raise
            time.sleep(wait)
"""


@pytest.fixture(scope="module", autouse=True)
def _things(ml_client: MLClient) -> None:
    small_jobs.prepare(ml_client)


@pytest.fixture
def code(tmp_path: Path) -> Callable[[str], str]:
    def written(text: str) -> str:
        (tmp_path / "src").mkdir(exist_ok=True)
        (tmp_path / "src" / "track.py").write_text(TRACK)
        (tmp_path / "src" / "train.py").write_text("import sys, time\nfrom track import log\n" + text)
        return str(tmp_path / "src")

    return written


def sweep_of(code: str, text: str, space: dict[str, Any], limits: dict[str, Any], **more: Any) -> Any:
    step = command(
        command=text, code=code, environment="bare:1", inputs=dict.fromkeys(space, 0.5), **more.pop("command", {})
    )
    options = {"sampling_algorithm": "random", "primary_metric": "score", "goal": "Maximize", **more}
    job = step(**space).sweep(compute="cpu-cluster", **options)
    job.set_limits(**limits)
    return job


def children(ml_client: MLClient, name: str) -> dict[str, Job]:
    return {child.name: child for child in ml_client.jobs.list(parent_job_name=name)}


def test_grid_names_its_best_trial(
    server: RunningServer,
    ml_client: MLClient,
    code: Callable[[str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import mlflow

    job = sweep_of(
        code(
            "import os\nrate = float(os.environ['AZUREML_SWEEP_reg_rate'])\n"
            "assert os.environ['AZUREML_SWEEP_made'] == sys.argv[2]\n"
            "open(sys.argv[2] + '/rate.txt', 'w').write(sys.argv[1])\nlog('score', -rate)"
        ),
        "python train.py ${{inputs.reg_rate}} ${{outputs.made}}",
        {"reg_rate": Choice(values=[0.1, 0.01, 1])},
        {"max_total_trials": 4, "max_concurrent_trials": 2, "timeout": 7200},
        sampling_algorithm="grid",
        command={"outputs": {"made": Output(type="uri_folder")}},
    )
    job.experiment_name, job.display_name = "sweep-diabetes", "tuned"
    submitted = ml_client.jobs.create_or_update(job)
    ml_client.jobs.stream(submitted.name)
    assert "score = -0.01" in capsys.readouterr().out
    done = ml_client.jobs.get(submitted.name)
    assert (done.status, done.type, done.display_name) == ("Completed", "sweep", "tuned")
    found = children(ml_client, done.name)
    assert set(found) == {f"{done.name}_{n}" for n in range(3)}
    best = done.properties["best_child_run_id"]
    assert (best, done.properties["score"]) == (f"{done.name}_1", "-0.01")
    child = ml_client.jobs.get(best)
    assert (child.status, child.type, json.loads(child.tags["hyperparameters"])) == (
        "Completed",
        "command",
        {"reg_rate": 0.01},
    )
    assert child.experiment_name == "sweep-diabetes"
    run = mlflow.MlflowClient().get_run(best)
    assert run.data.params["reg_rate"] == "0.01"
    assert run.data.metrics["score"] == -0.01
    assert run.data.tags["mlflow.parentRunId"] == run.data.tags["mlflow.rootRunId"] == done.name
    assert done.name in {j.name for j in ml_client.jobs.list()}
    assert not {j.name for j in ml_client.jobs.list()} & set(found)
    assert "score = -0.01" in lazulite(server, "job", "logs", done.name).stdout
    assert "the best, -0.01" in lazulite(server, "job", "graph", done.name).stdout
    ml_client.jobs.download(done.name, all=True, download_path=str(tmp_path / "down"))
    assert (tmp_path / "down" / "named-outputs" / "made" / "rate.txt").read_text() == "0.01"
    assert "Sweep of 3 trials" in (tmp_path / "down" / "hd-artifacts" / "azureml-logs" / "hyperdrive.txt").read_text()


def test_yaml_with_random_sampling(ml_client: MLClient, code: Callable[[str], str], tmp_path: Path) -> None:
    code("import json\njson.dump(sys.argv[1:], open('outputs.json', 'w'))\nlog('random_metric', float(sys.argv[6]))")
    (tmp_path / "hello-sweep.yml").write_text("""
$schema: https://azuremlschemas.azureedge.net/latest/sweepJob.schema.json
type: sweep
trial:
  command: >-
    python train.py --A ${{inputs.A}} --B ${{search_space.B}} --C ${{search_space.C}}
  code: src
  environment: azureml:bare:1
inputs:
  A: 0.5
compute: azureml:cpu-cluster
sampling_algorithm: random
search_space:
  B:
    type: choice
    values: ["hello", "world", "hello_world"]
  C:
    type: uniform
    min_value: 0.1
    max_value: 1.0
objective:
  goal: minimize
  primary_metric: random_metric
limits:
  max_total_trials: 4
  max_concurrent_trials: 2
  timeout: 3600
display_name: hello-sweep-example
experiment_name: hello-sweep-example
description: Hello sweep job example.
""")
    done = ended(ml_client, ml_client.jobs.create_or_update(load_job(tmp_path / "hello-sweep.yml")).name)
    assert (done.status, done.display_name) == ("Completed", "hello-sweep-example")
    drawn = {name: json.loads(child.tags["hyperparameters"]) for name, child in children(ml_client, done.name).items()}
    assert len(drawn) == 4
    assert all(
        0.1 <= values["C"] <= 1.0 and values["B"] in ("hello", "world", "hello_world") for values in drawn.values()
    )
    assert min(drawn, key=lambda name: drawn[name]["C"]) == done.properties["best_child_run_id"]


def test_every_distribution_and_bayesian_sampling(ml_client: MLClient, code: Callable[[str], str]) -> None:
    space = {
        "a": Choice(values=["x", "y"]),
        "b": Uniform(min_value=0, max_value=1),
        "c": LogUniform(min_value=-6, max_value=-1),
        "d": QUniform(min_value=10, max_value=30, q=5),
        "e": QLogUniform(min_value=0, max_value=5, q=2),
        "f": Normal(mu=10, sigma=3),
        "g": LogNormal(mu=0, sigma=1),
        "h": QNormal(mu=10, sigma=3, q=1),
        "i": QLogNormal(mu=0, sigma=1, q=1),
        "j": Randint(upper=4),
    }
    text = "python train.py " + " ".join(f"${{{{inputs.{name}}}}}" for name in space)
    job = sweep_of(
        code("log('score', float(sys.argv[2]))"),
        text,
        space,
        {"max_total_trials": 4, "max_concurrent_trials": 4},
        sampling_algorithm="bayesian",
    )
    done = ended(ml_client, ml_client.jobs.create_or_update(job).name)
    assert done.status == "Completed"
    for child in children(ml_client, done.name).values():
        values = json.loads(child.tags["hyperparameters"])
        assert values["a"] in ("x", "y")
        assert 0 <= values["b"] <= 1
        assert 0.002 < values["c"] < 0.37
        assert values["d"] in (10, 15, 20, 25, 30)
        assert values["e"] % 2 == 0
        assert values["g"] > 0
        assert (type(values["h"]), type(values["i"])) == (int, int)
        assert values["j"] in range(4)


def test_bandit_ends_bad_trials_early(ml_client: MLClient, code: Callable[[str], str]) -> None:
    job = sweep_of(
        code(
            "x = float(sys.argv[1])\nfor step in range(200 if x < 1 else 10):\n"
            "    log('score', x, step)\n    time.sleep(0.2)"
        ),
        "python train.py ${{inputs.x}}",
        {"x": Choice(values=[1.0, 0.1])},
        {"max_total_trials": 2, "max_concurrent_trials": 2},
        sampling_algorithm="grid",
    )
    job.early_termination = BanditPolicy(slack_factor=0.1, evaluation_interval=1, delay_evaluation=2)
    begun = time.monotonic()
    done = ended(ml_client, ml_client.jobs.create_or_update(job).name)
    assert done.status == "Completed"
    assert time.monotonic() - begun < 30  # the bad trial alone would take 40 s
    found = children(ml_client, done.name)
    assert [found[f"{done.name}_{n}"].status for n in range(2)] == ["Completed", "Canceled"]
    assert done.properties["best_child_run_id"] == f"{done.name}_0"


@pytest.mark.parametrize("policy", [MedianStoppingPolicy(), TruncationSelectionPolicy(truncation_percentage=50)])
def test_other_policies_are_kept_as_sent(ml_client: MLClient, code: Callable[[str], str], policy: Any) -> None:
    job = sweep_of(
        code("log('score', float(sys.argv[1]))"),
        "python train.py ${{inputs.x}}",
        {"x": Uniform(min_value=0, max_value=1)},
        {"max_total_trials": 3, "max_concurrent_trials": 1},
        sampling_algorithm=RandomSamplingAlgorithm(rule="sobol", seed=7),
    )
    job.early_termination = policy
    done = ended(ml_client, ml_client.jobs.create_or_update(job).name)
    assert done.status == "Completed"
    assert done.early_termination == policy
    assert done.sampling_algorithm.rule == "sobol"
    assert (done.limits.max_total_trials, done.limits.max_concurrent_trials) == (3, 1)


def test_failed_trials_are_counted_and_all_failing_fails(ml_client: MLClient, code: Callable[[str], str]) -> None:
    text = "x = int(sys.argv[1])\nif x: sys.exit(f'refuses {x}')\nlog('score', 1)"
    limits = {"max_total_trials": 2, "max_concurrent_trials": 2}
    half = sweep_of(
        code(text), "python train.py ${{inputs.x}}", {"x": Choice([0, 1])}, limits, sampling_algorithm="grid"
    )
    done = ended(ml_client, ml_client.jobs.create_or_update(half).name)
    assert (done.status, done.properties["best_child_run_id"]) == ("Completed", f"{done.name}_0")
    none = sweep_of(
        code(text), "python train.py ${{inputs.x}}", {"x": Choice([1, 2])}, limits, sampling_algorithm="grid"
    )
    failed = ml_client.jobs.create_or_update(none)
    assert ended(ml_client, failed.name).status == "Failed"
    with pytest.raises(JobException, match=r"All 2 trials of the sweep failed.*refuses 1"):
        ml_client.jobs.stream(failed.name)


def test_cancelling_ends_the_trials(ml_client: MLClient, code: Callable[[str], str]) -> None:
    job = sweep_of(
        code("log('score', 1)\ntime.sleep(60)"),
        "python train.py ${{inputs.x}}",
        {"x": Uniform(min_value=0, max_value=1)},
        {"max_total_trials": 2, "max_concurrent_trials": 1, "timeout": 120, "trial_timeout": 60},
    )
    name = ml_client.jobs.create_or_update(job).name
    while ml_client.jobs.get(name).status != "Running":
        time.sleep(0.05)
    ml_client.jobs.begin_cancel(name).result()
    assert ml_client.jobs.get(name).status == "Canceled"
    found = children(ml_client, name)
    assert {child.status for child in found.values()} == {"Canceled"}
    assert ml_client.jobs.get(f"{name}_0").limits.timeout == 60


def test_refusals_name_the_field(ml_client: MLClient, code: Callable[[str], str]) -> None:
    where = code("pass")

    def refused(match: str, space: dict[str, Any] | None = None, **options: Any) -> None:
        limits = {"max_total_trials": 2, **options.pop("limits", {})}
        space = space or {"x": Uniform(min_value=0, max_value=1)}
        job = sweep_of(where, "python train.py ${{inputs.x}}", space, limits, **options)
        with pytest.raises(HttpResponseError, match=match) as error:
            ml_client.jobs.create_or_update(job)
        assert error.value.status_code == 400

    refused("Grid sampling tries every combination, and 'x' has no end of values", sampling_algorithm="grid")
    refused("maxConcurrentTrials is 5", limits={"max_concurrent_trials": 5})
    refused("min_value is 2 and must be less than max_value", {"x": Uniform(min_value=2, max_value=1)})
    refused("sigma is 0", {"x": Normal(mu=1, sigma=0)})


def test_a_killed_server_goes_on_with_its_sweep(
    server: RunningServer, ml_client: MLClient, code: Callable[[str], str]
) -> None:
    job = sweep_of(
        code("log('score', float(sys.argv[1]))\ntime.sleep(0.5)"),
        "python train.py ${{inputs.x}}",
        {"x": Uniform(min_value=0, max_value=1)},
        {"max_total_trials": 6, "max_concurrent_trials": 2},
        sampling_algorithm="bayesian",
    )
    name = ml_client.jobs.create_or_update(job).name
    while len(children(ml_client, name)) < 4:
        time.sleep(0.05)
    server.kill()
    server.start(same_ports=True)
    done = ended(ml_client, name)
    found = children(ml_client, name)
    assert done.status == "Completed"
    assert {child.status for child in found.values()} == {"Completed"}
    assert len(found) == 6
    scores = {n: json.loads(child.tags["hyperparameters"])["x"] for n, child in found.items()}
    assert done.properties["best_child_run_id"] == max(scores, key=lambda n: scores[n])


def test_a_sweep_is_a_node_of_a_pipeline(ml_client: MLClient, code: Callable[[str], str], tmp_path: Path) -> None:
    where = code("rate = sys.argv[1]\nopen(sys.argv[2] + '/rate.txt', 'w').write(rate)\nlog('score', float(rate))")
    train = command(
        name="train_rate",
        command="python train.py ${{inputs.rate}} ${{outputs.model}}",
        code=where,
        environment="bare:1",
        inputs={"rate": Input(type="number", max=5)},
        outputs={"model": Output(type="uri_folder")},
    ).component
    show = command(
        name="show_rate",
        command="cp ${{inputs.model}}/rate.txt ${{outputs.shown}}/",
        environment="bare:1",
        inputs={"model": Input(type="uri_folder")},
        outputs={"shown": Output(type="uri_folder")},
    ).component

    @dsl.pipeline(default_compute="cpu-cluster")
    def tuned() -> dict[str, Any]:
        tune = train(rate=Choice(values=[1, 3, 2])).sweep(
            primary_metric="score", goal="maximize", sampling_algorithm="grid", compute="cpu-cluster"
        )
        tune.set_limits(max_total_trials=3, max_concurrent_trials=2, timeout=600)
        tune.early_termination = BanditPolicy(slack_factor=10, evaluation_interval=1)
        shown = show(model=tune.outputs.model)
        return {"best": shown.outputs.shown}

    beyond = tuned()
    beyond.jobs["tune"].search_space["rate"] = Choice(values=[1, 9])
    with pytest.raises(HttpResponseError, match=r"Input 'rate' of the node 'tune' is '9' and must not be above 5"):
        ml_client.jobs.create_or_update(beyond)
    done = ended(ml_client, ml_client.jobs.create_or_update(tuned()).name)
    assert done.status == "Completed"
    nodes = {child.display_name: child for child in children(ml_client, done.name).values()}
    assert set(nodes) == {"tune", "shown"}
    assert len(children(ml_client, nodes["tune"].name)) == 3
    ml_client.jobs.download(done.name, output_name="best", download_path=str(tmp_path / "down"))
    assert next((tmp_path / "down").rglob("rate.txt")).read_text() == "3"

    again, wider = tuned(), tuned()
    wider.jobs["tune"].search_space["rate"] = Choice(values=[1, 4])
    same, other = (ended(ml_client, ml_client.jobs.create_or_update(job).name) for job in (again, wider))
    reused = next(child for child in children(ml_client, same.name).values() if child.display_name == "tune")
    assert reused.properties["azureml.reusedrunid"] == nodes["tune"].name
    assert reused.properties["best_child_run_id"] == nodes["tune"].properties["best_child_run_id"]
    assert not children(ml_client, reused.name)
    ml_client.jobs.download(reused.name, output_name="model", download_path=str(tmp_path / "again"))
    assert next((tmp_path / "again").rglob("rate.txt")).read_text() == "3"
    assert not any("azureml.isreused" in child.properties for child in children(ml_client, other.name).values())


def test_a_step_after_a_sweep_without_a_best_trial_says_why(ml_client: MLClient, code: Callable[[str], str]) -> None:
    where = code("open(sys.argv[2] + '/rate.txt', 'w').write(sys.argv[1])\nlog('auc', 1)")
    train = command(
        command="python train.py ${{inputs.rate}} ${{outputs.model}}",
        code=where,
        environment="bare:1",
        inputs={"rate": 1},
        outputs={"model": Output(type="uri_folder")},
    )
    show = command(command="ls ${{inputs.model}}", environment="bare:1", inputs={"model": Input(type="uri_folder")})

    @dsl.pipeline(default_compute="cpu-cluster")
    def tuned() -> None:
        tune = train(rate=Choice(values=[1, 2])).sweep(
            primary_metric="AUC", goal="maximize", sampling_algorithm="grid", compute="cpu-cluster"
        )
        tune.set_limits(max_total_trials=2)
        show(model=tune.outputs.model)

    pipeline = ml_client.jobs.create_or_update(tuned())
    assert ended(ml_client, pipeline.name).status == "Failed"
    with pytest.raises(JobException, match=r"'tune' gives the outputs of its best trial.*primary metric 'AUC'"):
        ml_client.jobs.stream(pipeline.name)
