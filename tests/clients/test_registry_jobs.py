"""Jobs and pipelines that use what lies in a registry, through the unmodified SDK: the DSL, YAML, sweeps, parallel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl, load_component, load_job
from azure.ai.ml.entities import BuildContext, Data, Environment, Job, Model, Registry, RegistryRegionDetails
from azure.ai.ml.exceptions import JobException
from azure.ai.ml.sweep import Choice
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential
from tests.clients import small_jobs
from tests.clients.principals import credential, principal
from tests.clients.raw_requests import Bad, send
from tests.clients.small_jobs import ended, log, steps
from tests.clients.test_stepping_in import lazulite
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients

R = "azureml://registries/team"
_TEAM = f"{WORKSPACE_ID.rsplit('/', 2)[0]}/registries/team"
BARE = f"{R}/environments/plain/versions/1"
_WRITE = "import sys, pathlib; p = pathlib.Path(sys.argv[2]); p.write_text(sys.argv[1] + chr(10)); print('wrote', sys.argv[1])"
_SCORE = """
import json, os, sys, time, urllib.request
metric = {"run_id": os.environ["MLFLOW_RUN_ID"], "key": "score", "value": float(sys.argv[1]), "timestamp": 1, "step": 0}
request = urllib.request.Request(
    os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/runs/log-metric",
    json.dumps(metric).encode(),
    {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"},
)
urllib.request.urlopen(request).read()
"""
_COMPONENTS = {
    "write": f"""
type: command
inputs: {{text: {{type: string}}}}
outputs: {{file: {{type: uri_file}}}}
code: ./code
environment: {BARE}
command: python write.py "${{{{inputs.text}}}}" ${{{{outputs.file}}}}
""",
    "show": f"""
type: command
inputs: {{file: {{type: uri_file}}, more: {{type: uri_folder, optional: true}}}}
outputs: {{copied: {{type: uri_file}}}}
environment: {BARE}
command: cp ${{{{inputs.file}}}} ${{{{outputs.copied}}}}; cat ${{{{inputs.file}}}}; $[[cat ${{{{inputs.more}}}}/*]]
""",
    "train": f"""
type: command
inputs: {{rate: {{type: number}}}}
code: ./code
environment: {BARE}
command: python score_of.py ${{{{inputs.rate}}}}
""",
    "batches": f"""
type: parallel
inputs: {{files: {{type: uri_folder}}}}
outputs: {{scores: {{type: uri_folder}}}}
resources: {{instance_count: 1}}
mini_batch_size: "1"
input_data: ${{{{inputs.files}}}}
max_concurrency_per_instance: 1
task:
  type: run_function
  code: ./code
  entry_script: score.py
  environment: {BARE}
  append_row_to: ${{{{outputs.scores}}}}
""",
    "both": f"""
type: pipeline
inputs: {{text: {{type: string, default: default}}}}
outputs: {{file: {{type: uri_file}}}}
jobs:
  first:
    component: {R}/components/write/labels/latest
    inputs: {{text: "${{{{parent.inputs.text}}}}"}}
  second:
    component: {R}/components/show/versions/1
    inputs: {{file: "${{{{parent.jobs.first.outputs.file}}}}", more: {{type: uri_folder, path: {R}/data/words/labels/latest}}}}
    outputs: {{copied: "${{{{parent.outputs.file}}}}"}}
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("assets")
    for name, text in {
        "code/write.py": _WRITE,
        "code/score_of.py": _SCORE,
        "code/score.py": "def run(mini_batch):\n    return [open(path).read() for path in mini_batch]\n",
        "words/a.txt": "some words\n",
        "words/b.txt": "more words\n",
        "table/MLTable": "paths:\n  - file: ./a.csv\ntransformations:\n  - read_delimited\n",
        "table/a.csv": "x\n1\n",
        "context/Dockerfile": "FROM library/python:3.11\nENV BUILT_FROM=context\n",
    }.items():
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text(text)
    return made


@pytest.fixture(scope="module")
def registry(server: RunningServer, ml_client: MLClient, folder: Path) -> MLClient:
    """The registry `team` with an asset of each kind."""
    small_jobs.prepare(ml_client)
    made = Registry(name="team", location="local", replication_locations=[RegistryRegionDetails(location="local")])
    ml_client.registries.begin_create(made).result()
    client = MLClient(DefaultAzureCredential(), registry_name="team")
    image = "library/python:3.11"
    for environment in (
        Environment(name="plain", version="1", image=image),
        Environment(name="built", version="1", build=BuildContext(path=str(folder / "context"))),
    ):
        client.environments.create_or_update(environment)
    client.data.create_or_update(Data(name="words", version="1", path=str(folder / "words"), type="uri_folder"))
    client.data.create_or_update(Data(name="word", version="1", path=str(folder / "words/a.txt"), type="uri_file"))
    files = client.data.create_or_update(Data(name="files", version="1", path=str(folder / "table"), type="uri_folder"))
    # The SDK waits for the public internet before it registers a table.
    table = {"properties": {"dataType": "mltable", "dataUri": files.path}}
    assert send(server, Bad("", "PUT", f"{_TEAM}/data/table/versions/1", table))[0] in (200, 201, 202)
    client.models.create_or_update(Model(name="m", version="1", path=str(folder / "words"), type="custom_model"))
    for name, text in _COMPONENTS.items():
        path = folder / f"{name}.yml"
        path.write_text(f"name: {name}\nversion: '1'\n{text}")
        client.components.create_or_update(load_component(path))
    return client


def run(ml_client: MLClient, job: Any) -> Job:
    return ended(ml_client, ml_client.jobs.create_or_update(job).name)


def refused(ml_client: MLClient, job: Any) -> str:
    with pytest.raises(HttpResponseError) as caught:
        ml_client.jobs.create_or_update(job)
    return str(caught.value)


def test_components_of_a_registry_in_the_dsl(server: RunningServer, ml_client: MLClient, registry: MLClient) -> None:
    write, show = registry.components.get("write", label="latest"), registry.components.get("show", "1")

    @dsl.pipeline(default_compute="cpu-cluster")
    def pipeline() -> dict[str, Any]:
        first = write(text="hello")
        second = show(file=first.outputs.file, more=Input(type="uri_folder", path=f"{R}/data/words/versions/1"))
        return {"copy": second.outputs.copied}

    done = run(ml_client, pipeline())
    children = steps(ml_client, done.name)
    assert done.status == "Completed", {name: log(server, child) for name, child in children.items()}
    assert log(server, children["second"]).split() == ["hello", "some", "words", "more", "words"]
    first = ml_client.jobs.get(children["first"].name)
    assert (first.properties["azureml.modulename"], first.properties["azureml.moduleid"]) == ("write", "1")
    assert first.environment == BARE

    again = steps(ml_client, run(ml_client, pipeline()).name)
    assert {name: child.properties["azureml.isreused"] for name, child in again.items()} == {
        "first": "true",
        "second": "true",
    }


def test_a_pipeline_component_of_a_registry(server: RunningServer, ml_client: MLClient, registry: MLClient) -> None:
    both = registry.components.get("both", "1")

    @dsl.pipeline(default_compute="cpu-cluster")
    def pipeline() -> None:
        both(text="nested")

    done = run(ml_client, pipeline())
    inner = steps(ml_client, steps(ml_client, done.name)["both"].name)
    assert done.status == "Completed", {name: log(server, child) for name, child in inner.items()}
    assert log(server, inner["second"]).split() == ["nested", "some", "words", "more", "words"]


def test_files_of_pipelines_name_what_lies_in_a_registry(
    server: RunningServer, ml_client: MLClient, registry: MLClient, tmp_path: Path
) -> None:
    file = tmp_path / "pipeline.yml"
    file.write_text(f"""
type: pipeline
settings: {{default_compute: azureml:cpu-cluster}}
jobs:
  first: {{component: {R}/components/write/labels/latest, inputs: {{text: from a file}}, outputs: {{file: {{type: uri_file}}}}}}
  own:
    command: cat ${{{{inputs.file}}}} ${{{{inputs.folder}}}}/a.txt ${{{{inputs.model}}}}/b.txt; echo $BUILT_FROM
    environment: {R}/environments/built/labels/latest
    inputs:
      file: ${{{{parent.jobs.first.outputs.file}}}}
      folder: {{type: uri_folder, path: {R}/data/words/versions/1, mode: download}}
      model: {{type: custom_model, path: {R}/models/m/labels/latest}}
""")
    done = run(ml_client, load_job(file))
    children = steps(ml_client, done.name)
    assert done.status == "Completed", {name: log(server, child) for name, child in children.items()}
    said = log(server, children["own"])
    assert [text for text in ("from a file", "some words", "more words", "context") if text not in said] == []
    assert ml_client.jobs.get(children["own"].name).inputs["model"].path == f"{R}/models/m/versions/1"

    job = tmp_path / "job.yml"
    component = f"type: pipeline\ncomponent: {R}/components/both/versions/1\ninputs: {{text: whole}}\n"
    job.write_text(component + "settings: {default_compute: azureml:cpu-cluster}\n")
    assert run(ml_client, load_job(job)).status == "Completed"


def test_a_command_job_with_inputs_of_a_registry(
    server: RunningServer, ml_client: MLClient, registry: MLClient
) -> None:
    done = run(
        ml_client,
        command(
            command="cat ${{inputs.word}}; ls ${{inputs.table}}; cat ${{inputs.model}}/a.txt",
            environment=f"{R}/environments/plain/labels/latest",
            compute="cpu-cluster",
            inputs={
                "word": Input(type="uri_file", path=f"{R}/data/word/versions/1"),
                "table": Input(type="mltable", path=f"{R}/data/table/labels/latest", mode="download"),
                "model": Input(type="custom_model", path=f"{R}/models/m/versions/1", mode="download"),
            },
        ),
    )
    assert done.status == "Completed", log(server, done)
    assert log(server, done).split("\n")[:4] == ["some words", "MLTable", "a.csv", "some words"]
    assert done.inputs["table"].path == f"{R}/data/table/versions/1"


def test_a_sweep_over_a_component_of_a_registry(server: RunningServer, ml_client: MLClient, registry: MLClient) -> None:
    train = registry.components.get("train", "1")

    @dsl.pipeline(default_compute="cpu-cluster")
    def pipeline() -> None:
        trial = train(rate=Choice([0.25, 0.5]))
        search = trial.sweep(primary_metric="score", goal="maximize", sampling_algorithm="grid", compute="cpu-cluster")
        search.set_limits(max_total_trials=2, max_concurrent_trials=2)

    done = run(ml_client, pipeline())
    assert done.status == "Completed", done
    search = next(iter(steps(ml_client, done.name).values()))
    trials = steps(ml_client, search.name)
    assert [trial.status for trial in trials.values()] == ["Completed", "Completed"]


def test_a_parallel_component_of_a_registry(server: RunningServer, ml_client: MLClient, registry: MLClient) -> None:
    batches = registry.components.get("batches", "1")

    @dsl.pipeline(default_compute="cpu-cluster")
    def pipeline() -> None:
        batches(files=Input(type="uri_folder", path=f"{R}/data/words/versions/1"))

    done = run(ml_client, pipeline())
    child = next(iter(steps(ml_client, done.name).values()))
    assert done.status == "Completed", log(server, child)


def test_refusals_name_the_node_and_what_there_is(ml_client: MLClient, registry: MLClient, tmp_path: Path) -> None:
    def submitted(component: str) -> str:
        file = tmp_path / "bad.yml"
        step = f"jobs: {{step: {{component: {component}, inputs: {{text: x}}}}}}"
        file.write_text(f"type: pipeline\nsettings: {{default_compute: azureml:cpu-cluster}}\n{step}\n")
        return refused(ml_client, load_job(file))

    said = submitted("azureml://registries/teem/components/write/versions/1")
    assert "no registry 'teem' on this server. Did you mean 'team'?" in said
    assert "step" in said
    said = submitted(f"{R}/components/wrote/versions/1")
    assert "The registry 'team' has no component 'wrote' on this server. Did you mean 'write'?" in said
    said = submitted(f"{R}/components/write/versions/7")
    assert "has no version or label '7'. It has '1'." in said
    output = Output(type="uri_folder", path=f"{R}/data/out/versions/1")
    job = command(command="true", environment=BARE, compute="cpu-cluster", outputs={"out": output})
    assert "does not write to the registry 'team'" in refused(ml_client, job)


def test_a_pipeline_sent_again_under_its_name(ml_client: MLClient, registry: MLClient) -> None:
    write, show = registry.components.get("write", "1"), registry.components.get("show", "1")

    def sent(component: Any, **inputs: Any) -> Job:
        @dsl.pipeline(name="again", default_compute="cpu-cluster")
        def pipeline() -> None:
            step = component(**inputs)
            step.name = "step"

        job = pipeline()
        job.name, job.tags = "sent-again", {"sent": "again"}
        return ml_client.jobs.create_or_update(job)

    sent(write, text="x")
    assert sent(write, text="x").tags == {"sent": "again"}
    with pytest.raises(HttpResponseError, match=r"jobs\.step\.componentId cannot change"):
        sent(show, file=Input(type="uri_file", path=f"{R}/data/word/versions/1"))


def test_a_new_version_is_not_the_old_one(
    server: RunningServer, ml_client: MLClient, registry: MLClient, folder: Path
) -> None:
    def made(version: str, word: str) -> None:
        text = f"name: greet\nversion: '{version}'\ntype: command\nenvironment: {BARE}\ncommand: echo {word}\n"
        (folder / "greet.yml").write_text(text)
        registry.components.create_or_update(load_component(folder / "greet.yml"))

    def said() -> tuple[str, str]:
        greet = registry.components.get("greet", label="latest")

        @dsl.pipeline(default_compute="cpu-cluster")
        def pipeline() -> None:
            greet()

        child = next(iter(steps(ml_client, run(ml_client, pipeline()).name).values()))
        return log(server, child).strip(), child.properties.get("azureml.isreused", "false")

    made("1", "one")
    assert said() == ("one", "false")
    made("2", "two")
    assert said() == ("two", "false")
    registry.components.archive("greet", "2")
    assert said() == ("", "true")  # of version 1, whose run is reused
    registry.components.archive("greet", "1")
    component = f"{R}/components/greet/versions/2"  # archived, and named all the same
    job = (
        f"type: pipeline\nsettings: {{default_compute: azureml:cpu-cluster}}\njobs: {{a: {{component: {component}}}}}\n"
    )
    (folder / "archived.yml").write_text(job)
    assert run(ml_client, load_job(folder / "archived.yml")).status == "Completed"
    (folder / "archived.yml").write_text(job.replace("versions/2", "labels/latest"))
    assert "It has '2' (archived), '1' (archived)." in refused(ml_client, load_job(folder / "archived.yml"))


def test_stepping_into_and_running_again_what_lies_in_a_registry(
    server: RunningServer, ml_client: MLClient, registry: MLClient
) -> None:
    both = registry.components.get("both", "1")

    @dsl.pipeline(default_compute="cpu-cluster")
    def pipeline() -> None:
        both(text="again")

    done = run(ml_client, pipeline())
    debugged = lazulite(
        server, "job", "debug", done.name, "--node", "both/first", "--", "ls; python write.py x y; cat y"
    )
    assert debugged.stdout.split()[-1] == "x", debugged.stderr
    nested = steps(ml_client, done.name)["both"]
    for name in (done.name, nested.name, steps(ml_client, nested.name)["first"].name):
        again = lazulite(server, "job", "rerun", name)
        assert again.returncode == 0, again.stderr
        assert ended(ml_client, again.stdout.strip()).status == "Completed"


def test_who_may_not_read_a_registry_may_not_use_it(
    server: RunningServer, ml_client: MLClient, registry: MLClient, tmp_path: Path
) -> None:
    def client(role: str, scope: str) -> MLClient:
        return MLClient(credential(server, principal(server, role, scope)), SUBSCRIPTION, GROUP, WORKSPACE)

    def job(component: str) -> Any:
        file = tmp_path / "job.yml"
        step = f"jobs: {{step: {{component: {component}, inputs: {{text: mine}}}}}}"
        file.write_text(f"type: pipeline\nsettings: {{default_compute: azureml:cpu-cluster}}\n{step}\n")
        return load_job(file)

    outsider = client("AzureML Data Scientist", WORKSPACE_ID)
    for asset in ("write/versions/1", "none/versions/1"):  # nor learn what there is
        said = refused(outsider, job(f"{R}/components/{asset}"))
        assert "registry 'team'" in said
        assert "'AzureML Registry User'" in said
    model = Input(type="custom_model", path=f"{R}/models/m/versions/1")
    job_of_one = command(command="true", environment="azureml:bare:1", compute="cpu-cluster", inputs={"m": model})
    assert "registry 'team'" in refused(outsider, job_of_one)
    assert "registry 'team'" in refused(outsider, command(command="true", environment=BARE, compute="cpu-cluster"))
    curated = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"
    allowed = command(command="true", environment=curated, compute="cpu-cluster")
    assert outsider.jobs.create_or_update(allowed).name
    insider = client("AzureML Data Scientist", WORKSPACE_ID.split("/providers/")[0])
    assert run(insider, job(f"{R}/components/write/versions/1")).status == "Completed"


def test_a_registry_that_is_deleted_while_a_pipeline_runs(
    ml_client: MLClient, registry: MLClient, tmp_path: Path
) -> None:
    made = Registry(name="gone", location="local", replication_locations=[RegistryRegionDetails(location="local")])
    ml_client.registries.begin_create(made).result()
    text = f"name: late\nversion: '1'\ntype: command\nenvironment: {BARE}\ncommand: echo late\n"
    text += "inputs: {after: {type: uri_folder}}\n"
    (tmp_path / "late.yml").write_text(text)
    MLClient(DefaultAzureCredential(), registry_name="gone").components.create_or_update(
        load_component(tmp_path / "late.yml")
    )
    late = MLClient(DefaultAzureCredential(), registry_name="gone").components.get("late", "1")
    slow = command(
        name="slow",
        outputs={"o": Output(type="uri_folder")},
        command="sleep 2; date > ${{outputs.o}}/d",
        environment=BARE,
    )

    @dsl.pipeline(default_compute="cpu-cluster")
    def pipeline() -> None:
        late(after=slow().outputs.o)

    job = ml_client.jobs.create_or_update(pipeline())
    ml_client.registries.begin_delete(name="gone").result()
    with pytest.raises(
        JobException, match="azureml://registries/gone/components/late/versions/1' does not exist any more"
    ):
        ml_client.jobs.stream(job.name)
