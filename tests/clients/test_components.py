"""Components through the unmodified SDK: every kind from YAML, versions, archives, downloads, and as nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import MLClient, dsl, load_component, load_job
from azure.ai.ml.constants import ListViewType
from azure.ai.ml.entities import Component
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from tests.clients import small_jobs
from tests.clients.small_jobs import ended
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients

COMMAND = """
type: command
name: {name}
{version}
description: says a word
tags: {{team: red}}
inputs:
  word: {{type: string, default: hello}}
  rate: {{type: number, default: 0.5, min: 0, max: 1}}
  times: {{type: integer, optional: true, min: 1, max: 3}}
  colour: {{type: string, enum: [red, green], default: red}}
  loud: {{type: boolean, default: false}}
outputs:
  said: {{type: uri_folder}}
environment: azureml:bare:1
command: >-
  echo ${{{{inputs.word}}}} ${{{{inputs.rate}}}} ${{{{inputs.colour}}}} ${{{{inputs.loud}}}}
  $[[times=${{{{inputs.times}}}}]] > ${{{{outputs.said}}}}/said.txt; cat ${{{{outputs.said}}}}/said.txt
"""
PARALLEL = """
type: parallel
name: score_rows
version: 1
inputs:
  rows: {type: uri_folder}
outputs:
  scored: {type: uri_file}
input_data: ${{inputs.rows}}
mini_batch_size: "5"
retry_settings: {max_retries: 2, timeout: 60}
max_concurrency_per_instance: 2
task:
  type: function
  code: ./src
  entry_script: score.py
  environment: azureml:bare:1
  append_row_to: ${{outputs.scored}}
"""
PIPELINE = """
type: pipeline
name: say_twice
version: 1
inputs:
  word: {type: string, default: again}
outputs:
  said: {type: uri_folder}
jobs:
  first:
    type: command
    component: ./say.yml
    inputs: {word: "${{parent.inputs.word}}"}
  second:
    type: command
    component: ./say.yml
    inputs: {word: twice}
    outputs: {said: "${{parent.outputs.said}}"}
"""
SPARK = """
type: spark
name: count_words
version: 1
inputs:
  text: {type: uri_folder, mode: direct}
outputs:
  counts: {type: uri_folder, mode: direct}
code: ./src
entry: {file: score.py}
conf:
  spark.driver.cores: 1
  spark.driver.memory: 2g
  spark.executor.cores: 2
  spark.executor.memory: 2g
  spark.executor.instances: 2
environment: azureml:bare:1
args: --text ${{inputs.text}} --counts ${{outputs.counts}}
"""
COPY = """
type: data_transfer
task: copy_data
name: merge_folders
version: 1
data_copy_mode: merge_with_overwrite
inputs:
  one: {type: uri_folder}
  two: {type: uri_folder}
outputs:
  merged: {type: uri_folder}
"""
IMPORTED = """
type: import
name: read_table
version: 1
source: {type: {type: string, default: azuresqldb}, connection: {type: string}, query: {type: string}}
output: {type: mltable}
"""


@pytest.fixture(scope="module", autouse=True)
def _things(ml_client: MLClient) -> None:
    small_jobs.prepare(ml_client, nodes=2)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text("def run(batch):\n    return batch\n")

    def written(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    written("say.yml", say("say"))
    return written


def say(name: str, version: str = "") -> str:
    return COMMAND.format(name=name, version=f"version: {version}" if version else "")


def said(server: RunningServer, ml_client: MLClient, pipeline: str) -> dict[str, str]:
    """What each step of a pipeline wrote into its log."""
    found = {}
    for child in ml_client.jobs.list(parent_job_name=pipeline):
        file = next(server.home.glob(f"storage/*/azureml/ExperimentRun/dcid.{child.name}/user_logs/std_log.txt"), None)
        found[str(child.display_name)] = file.read_text().strip() if file else ""
    return found


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (say("say_kind", "4"), "command"),
        (PARALLEL, "parallel"),
        (PIPELINE, "pipeline"),
        (SPARK, "spark"),
        (COPY, "data_transfer"),
        (IMPORTED, "import"),
    ],
    ids=lambda value: value if len(value) < 20 else "",
)
def test_every_kind_is_kept(ml_client: MLClient, write: Callable[[str, str], Path], text: str, kind: str) -> None:
    wanted = load_component(write("component.yml", text))
    made = ml_client.components.create_or_update(wanted)
    assert (made.name, made.type) == (wanted.name, kind)
    found = ml_client.components.get(wanted.name, version=made.version)
    assert found.type == kind
    assert dict(found.inputs).keys() == dict(wanted.inputs).keys()
    assert wanted.name in {listed.name for listed in ml_client.components.list()}
    ml_client.components.archive(wanted.name)
    assert wanted.name not in {listed.name for listed in ml_client.components.list()}
    ml_client.components.restore(wanted.name)
    assert wanted.name in {listed.name for listed in ml_client.components.list()}


def test_versions(ml_client: MLClient, write: Callable[[str, str], Path]) -> None:
    component = load_component(write("c.yml", say("counted")))
    versions = [ml_client.components.create_or_update(load_component(write("c.yml", say("counted")))).version]
    component.command += " ; true"
    versions.append(ml_client.components.create_or_update(component).version)
    assert versions == ["1", "2"]
    assert ml_client.components.get("counted").version == "2"
    assert ml_client.components.get("counted", label="latest").version == "2"
    ml_client.components.archive("counted", version="2")
    assert ml_client.components.get("counted", label="latest").version == "1"
    for view, shown in {"ACTIVE_ONLY": ["1"], "ARCHIVED_ONLY": ["2"], "ALL": ["2", "1"]}.items():
        listed = ml_client.components.list("counted", list_view_type=ListViewType[view])
        assert [component.version for component in listed] == shown
    ml_client.components.restore("counted", version="2")
    assert ml_client.components.get("counted").version == "2"
    with pytest.raises(ResourceNotFoundError, match="has no version '9'"):
        ml_client.components.get("counted", version="9")


def test_what_a_version_runs_never_changes(ml_client: MLClient, write: Callable[[str, str], Path]) -> None:
    path = write("c.yml", say("fixed", "1"))
    ml_client.components.create_or_update(load_component(path))
    told = load_component(path)
    told.description, told.display_name, told.tags = "says it better", "Fixed", {"team": "blue"}
    ml_client.components.create_or_update(told)
    found = ml_client.components.get("fixed", version="1")
    assert (found.description, found.display_name, found.tags["team"]) == ("says it better", "Fixed", "blue")
    for field, value in {"command": "echo other", "environment": "azureml:AzureML-sklearn-1.5@latest"}.items():
        changed = load_component(path)
        setattr(changed, field, value)
        with pytest.raises(HttpResponseError, match=f"has a version '1' already, with another {field};"):
            ml_client.components.create_or_update(changed)
    assert "echo other" not in ml_client.components.get("fixed", version="1").command


def test_anonymous_components_are_made_once(ml_client: MLClient, write: Callable[[str, str], Path]) -> None:
    step = load_component(write("say.yml", say("say")))

    @dsl.pipeline(default_compute="cpu-cluster")
    def two(word):  # type: ignore[no-untyped-def]
        step(word=word)
        step(word="other")

    made = [ml_client.jobs.create_or_update(two(word=word)) for word in ("a", "b")]
    used = {node.component for job in made for node in job.jobs.values()}
    assert len(used) == 1
    assert "azureml_anonymous" in str(used)
    assert "say" not in {listed.name for listed in ml_client.components.list()}
    for job in made:
        assert ended(ml_client, job.name).status == "Completed"


def test_every_way_to_name_a_component(
    server: RunningServer, ml_client: MLClient, write: Callable[[str, str], Path]
) -> None:
    for version in ("1", "2"):
        component = load_component(write("c.yml", say("named", version)))
        component.command = f"echo version {version}; echo x > ${{{{outputs.said}}}}/a"
        ml_client.components.create_or_update(component)
    write("inline.yml", say("unused"))
    text = """
type: pipeline
settings: {default_compute: azureml:cpu-cluster}
jobs:
  by_version: {type: command, component: "azureml:named:1"}
  by_latest: {type: command, component: "azureml:named@latest"}
  by_default: {type: command, component: "azureml:named@default"}
  by_file: {type: command, component: "file:./inline.yml", inputs: {word: file}}
  inline:
    type: command
    component:
      type: command
      command: echo inline
      environment: azureml:bare:1
"""
    job = ml_client.jobs.create_or_update(load_job(write("pipeline.yml", text)))
    assert ended(ml_client, job.name).status == "Completed"
    assert said(server, ml_client, job.name) == {
        "by_version": "version 1",
        "by_latest": "version 2",
        "by_default": "version 2",
        "by_file": "file 0.5 red False",
        "inline": "inline",
    }


def test_registry_components_that_are_not_here_are_named(
    ml_client: MLClient, write: Callable[[str, str], Path]
) -> None:
    text = """
type: pipeline
settings: {default_compute: azureml:cpu-cluster}
jobs:
  far: {type: command, component: "azureml://registries/azureml/components/rai_insights/versions/1"}
"""
    with pytest.raises(HttpResponseError, match="registry 'azureml' has no component 'rai_insights' on this server"):
        ml_client.jobs.create_or_update(load_job(write("pipeline.yml", text)))


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"word": "x", "rate": 1, "times": 3, "colour": "green", "loud": True}, "x 1 green True times=3"),
        ({"word": "1.0", "rate": "0.25", "loud": "true"}, "1.0 0.25 red true"),
    ],
)
def test_typed_inputs(
    server: RunningServer,
    ml_client: MLClient,
    write: Callable[[str, str], Path],
    inputs: dict[str, Any],
    expected: str,
) -> None:
    step = load_component(write("say.yml", say("say")))

    @dsl.pipeline(default_compute="cpu-cluster")
    def around() -> None:
        step(**inputs)

    job = ml_client.jobs.create_or_update(around())
    assert ended(ml_client, job.name).status == "Completed"
    assert said(server, ml_client, job.name) == {"say": expected}


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"rate": 1.5}, "Input 'rate' of the node 'step' is '1.5' and must not be above 1"),
        ({"times": 0}, "Input 'times' of the node 'step' is '0' and must not be below 1"),
        ({"times": "2.5"}, "Input 'times' of the node 'step' is '2.5' and must be a whole number"),
        ({"colour": "blue"}, "Input 'colour' of the node 'step' is 'blue' and must be one of red, green"),
        ({"loud": "perhaps"}, "Input 'loud' of the node 'step' is 'perhaps' and must be true or false"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    ml_client: MLClient, write: Callable[[str, str], Path], inputs: dict[str, Any], message: str
) -> None:
    given = "\n".join(f"      {name}: '{value}'" for name, value in inputs.items())
    ml_client.components.create_or_update(load_component(write("c.yml", say("bounded", "1"))))
    text = f"""
type: pipeline
settings: {{default_compute: azureml:cpu-cluster}}
jobs:
  step:
    type: command
    component: azureml:bounded:1
    inputs:
{given}
"""
    with pytest.raises(HttpResponseError, match=message):
        ml_client.jobs.create_or_update(load_job(write("pipeline.yml", text)))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"word": "maybe"}, "Input 'word' of the pipeline is 'maybe' and must be one of again, never"),
        ({"wrod": "again"}, "has no input 'wrod'. Did you mean 'word'"),
    ],
)
def test_a_job_of_a_component_is_held_to_its_inputs(
    ml_client: MLClient, write: Callable[[str, str], Path], inputs: dict[str, str], message: str
) -> None:
    twice = PIPELINE.replace("default: again", "default: again, enum: [again, never]").replace("say_twice", "say_bound")
    ml_client.components.create_or_update(load_component(write("twice.yml", twice)))
    text = (
        "type: pipeline\nsettings: {default_compute: azureml:cpu-cluster}\n"
        f"component: azureml:say_bound:1\ninputs: {inputs}\n"
    )
    with pytest.raises(HttpResponseError, match=message):
        ml_client.jobs.create_or_update(load_job(write("pipeline.yml", text)))


def test_spark_steps_cannot_run_here_and_are_named(ml_client: MLClient, write: Callable[[str, str], Path]) -> None:
    write("component.yml", SPARK)
    text = """
type: pipeline
settings: {default_compute: azureml:cpu-cluster}
jobs:
  far:
    type: spark
    component: ./component.yml
    inputs: {text: {type: uri_folder, path: azureml://datastores/workspaceblobstore/paths/a, mode: direct}}
    resources: {instance_type: standard_e4s_v3, runtime_version: '3.4'}
"""
    with pytest.raises(HttpResponseError, match="spark node 'far' of a pipeline is not built") as refused:
        ml_client.jobs.create_or_update(load_job(write("pipeline.yml", text)))
    assert refused.value.status_code == 501


def test_automl_and_import_steps_are_named(ml_client: MLClient, write: Callable[[str, str], Path]) -> None:
    for step, kind in {
        "{type: automl, task: classification, target_column_name: y, primary_metric: accuracy, "
        "training_data: {type: mltable, path: azureml://datastores/workspaceblobstore/paths/a}}": "automl",
        "{type: data_transfer, task: import_data, source: {type: database, query: q, connection: 'azureml:c'}, "
        "outputs: {sink: {type: mltable}}}": "data_transfer",
    }.items():
        text = f"type: pipeline\nsettings: {{default_compute: azureml:cpu-cluster}}\njobs:\n  far: {step}\n"
        with pytest.raises(HttpResponseError, match=f"{kind} node 'far' of a pipeline is not built"):
            ml_client.jobs.create_or_update(load_job(write("pipeline.yml", text)))


def test_defaults_of_a_pipelines_inputs_reach_the_steps(
    server: RunningServer, ml_client: MLClient, write: Callable[[str, str], Path]
) -> None:
    twice = load_component(write("twice.yml", PIPELINE))
    registered: Component = ml_client.components.create_or_update(twice)

    @dsl.pipeline(default_compute="cpu-cluster")
    def around() -> Any:
        inner = registered()
        return {"said": inner.outputs.said}

    job = ml_client.jobs.create_or_update(around())
    assert ended(ml_client, job.name).status == "Completed"
    (inner,) = ml_client.jobs.list(parent_job_name=job.name)
    assert said(server, ml_client, inner.name) == {"first": "again 0.5 red False", "second": "twice 0.5 red False"}
    alone = registered()
    alone.settings.default_compute = "cpu-cluster"
    job = ml_client.jobs.create_or_update(alone)
    assert ended(ml_client, job.name).status == "Completed"
    fetched = ml_client.jobs.get(job.name)
    assert set(fetched.outputs) == {"said"}
    assert {node.component for node in fetched.jobs.values()}
    for again in (fetched, ml_client.jobs.get(inner.name)):
        again.name = None
        assert ended(ml_client, ml_client.jobs.create_or_update(again).name).status == "Completed"


def test_additional_includes_travel_with_the_code(
    server: RunningServer, ml_client: MLClient, write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "words.txt").write_text("shared words")
    text = """
type: command
name: reads
code: ./src
additional_includes: [./shared]
environment: azureml:bare:1
command: cat shared/words.txt; ls
"""
    step = load_component(write("reads.yml", text))

    @dsl.pipeline(default_compute="cpu-cluster")
    def around() -> None:
        step()

    job = ml_client.jobs.create_or_update(around())
    assert ended(ml_client, job.name).status == "Completed"
    assert said(server, ml_client, job.name)["reads"].startswith("shared words")
    assert "score.py" in said(server, ml_client, job.name)["reads"]


def test_downloaded_components_can_be_made_elsewhere(
    ml_client: MLClient, write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    text = say("carried", "1").replace("command: >-", "code: ./src\ncommand: >-")
    ml_client.components.create_or_update(load_component(write("c.yml", text)))
    ml_client.components.download("carried", tmp_path / "down", version="1")
    again = load_component(tmp_path / "down" / "component_spec.yaml")
    again.name = "carried_again"
    made = ml_client.components.create_or_update(again)
    assert (made.version, dict(made.inputs["rate"])["max"]) == ("1", 1)
    assert (tmp_path / "down" / "code" / "score.py").exists()
