"""Pipelines through the unmodified SDK: the DSL and YAML, bindings, reuse, failures, what clients see of the steps."""

import time
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl, load_job
from azure.ai.ml.entities import Job
from azure.ai.ml.exceptions import JobException
from azure.core.exceptions import HttpResponseError, ResourceExistsError
from tests.clients import small_jobs
from tests.clients.raw_requests import Bad, send
from tests.clients.small_jobs import ended, log, steps
from tests.server_fixture import WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients

FOLDER = Input(type="uri_folder")
MAKE = command(
    name="make",
    inputs={"text": Input(type="string"), "n": Input(type="integer", default=1, min=1, max=5)},
    outputs={"made": Output(type="uri_folder")},
    command="for i in $(seq ${{inputs.n}}); do echo '${{inputs.text}}' >> ${{outputs.made}}/a.txt; done; echo made",
    environment="bare:1",
)
COUNT = command(
    name="count",
    inputs={"folder": FOLDER, "extra": Input(type="string", optional=True)},
    outputs={"counted": Output(type="uri_file")},
    command="wc -l < ${{inputs.folder}}/a.txt > ${{outputs.counted}}; echo $[[extra=${{inputs.extra}}]]",
    environment="bare:1",
)


@pytest.fixture(scope="module", autouse=True)
def _things(ml_client: MLClient) -> None:
    small_jobs.prepare(ml_client)


def run(ml_client: MLClient, job: Any) -> Job:
    return ended(ml_client, ml_client.jobs.create_or_update(job).name)


@dsl.pipeline(default_compute="cpu-cluster")
def two_steps(text: str, n: int = 2) -> dict[str, Any]:
    first = MAKE(text=text, n=n)
    second = COUNT(folder=first.outputs.made, extra="x")
    return {"result": second.outputs.counted, "folder": first.outputs.made}


def test_two_steps(
    server: RunningServer, ml_client: MLClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = ml_client.jobs.create_or_update(two_steps(text="hello", n=3), experiment_name="pipes")
    ml_client.jobs.stream(job.name)
    said = capsys.readouterr().out
    assert "executionlogs.txt" in said
    assert "Step 'second' is Completed" in said
    done = ml_client.jobs.get(job.name)
    assert (done.status, done.type, done.experiment_name) == ("Completed", "pipeline", "pipes")
    found = steps(ml_client, job.name)
    assert {name: child.status for name, child in found.items()} == {"first": "Completed", "second": "Completed"}
    assert "extra=x" in log(server, found["second"])
    ml_client.jobs.download(job.name, output_name="result", download_path=str(tmp_path))
    assert next(p for p in tmp_path.rglob("*") if p.is_file()).read_text().strip() == "3"
    assert found["first"].name not in {listed.name for listed in ml_client.jobs.list()}
    assert job.name in {listed.name for listed in ml_client.jobs.list()}


def test_unchanged_steps_are_reused(server: RunningServer, ml_client: MLClient, tmp_path: Path) -> None:
    first = run(ml_client, two_steps(text="again"))
    again = run(ml_client, two_steps(text="again"))
    earlier, found = steps(ml_client, first.name), steps(ml_client, again.name)
    for name, child in found.items():
        assert child.properties["azureml.isreused"] == "true"
        assert child.properties["azureml.reusedrunid"] == earlier[name].name
    assert "reuses run" in log(server, again, "logs/azureml/executionlogs.txt")
    ml_client.jobs.download(again.name, output_name="result", download_path=str(tmp_path / "a"))
    assert next(p for p in (tmp_path / "a").rglob("*") if p.is_file()).read_text().strip() == "2"
    ml_client.jobs.download(found["first"].name, all=True, download_path=str(tmp_path / "b"))
    assert list((tmp_path / "b").rglob("a.txt"))
    other = steps(ml_client, run(ml_client, two_steps(text="again", n=4)).name)
    assert "azureml.isreused" not in other["first"].properties
    forced = two_steps(text="again")
    forced.settings.force_rerun = True
    fresh = steps(ml_client, run(ml_client, forced).name)
    assert not any("azureml.isreused" in child.properties for child in fresh.values())


def test_a_path_that_another_run_wrote_to_since_is_not_reused(ml_client: MLClient, tmp_path: Path) -> None:
    @dsl.pipeline(default_compute="cpu-cluster")
    def shared(n: int) -> dict[str, Any]:
        made = MAKE(text="shared", n=n)
        made.outputs.made.path = "azureml://datastores/workspaceblobstore/paths/written/by/all/"
        return {"lines": COUNT(folder=made.outputs.made, extra="x").outputs.counted}

    for n, lines, is_reused in [(1, "1", False), (1, "1", True), (2, "3", False), (1, "4", False)]:
        done = run(ml_client, shared(n=n))
        ml_client.jobs.download(done.name, output_name="lines", download_path=str(tmp_path / done.name))
        assert next(p for p in (tmp_path / done.name).rglob("*") if p.is_file()).read_text().strip() == lines
        reused = ["azureml.isreused" in child.properties for child in steps(ml_client, done.name).values()]
        assert reused == [is_reused, is_reused]


def test_outputs_that_were_changed_since_are_not_reused(server: RunningServer, ml_client: MLClient) -> None:
    def remove(file: Path) -> None:
        file.unlink()

    def write_over(file: Path) -> None:
        file.write_text("otherwise")

    made = steps(ml_client, run(ml_client, two_steps(text="changed")).name)["first"]
    for change in (remove, write_over):
        change(next(server.home.glob(f"storage/*/azureml-blobstore-*/azureml/{made.name}/made/*")))
        made = steps(ml_client, run(ml_client, two_steps(text="changed")).name)["first"]
        assert "azureml.isreused" not in made.properties
    again = steps(ml_client, run(ml_client, two_steps(text="changed")).name)["first"]
    assert again.properties["azureml.reusedrunid"] == made.name


def test_only_uploads_named_by_their_hash_count_as_unchanged(server: RunningServer, ml_client: MLClient) -> None:
    @dsl.pipeline(default_compute="cpu-cluster")
    def counted(folder: Input) -> None:
        COUNT(folder=folder, extra="x")

    blobs = next(server.home.glob("storage/*/azureml-blobstore-*"))
    (blobs / "LocalUpload/mine").mkdir(parents=True)
    found = []
    for text in ("1", "1", "two"):
        if text not in [file.read_text() for file in (blobs / "LocalUpload/mine").iterdir()]:
            (blobs / "LocalUpload/mine/a.txt").write_text(text)
        path = "azureml://datastores/workspaceblobstore/paths/LocalUpload/mine/"
        done = run(ml_client, counted(Input(type="uri_folder", path=path)))
        found += ["azureml.isreused" in child.properties for child in steps(ml_client, done.name).values()]
    assert found == [False, True, False]


def test_not_deterministic_is_not_reused(ml_client: MLClient) -> None:
    dice = command(
        name="dice",
        command="echo ${{inputs.a}}",
        inputs={"a": Input(type="string")},
        environment="bare:1",
        is_deterministic=False,
    )

    @dsl.pipeline(default_compute="cpu-cluster")
    def throw() -> None:
        dice(a="x")

    for _ in range(2):
        found = steps(ml_client, run(ml_client, throw()).name)
    assert not any("azureml.isreused" in child.properties for child in found.values())


def test_nested_pipelines_and_overrides(server: RunningServer, ml_client: MLClient, tmp_path: Path) -> None:
    @dsl.pipeline()
    def inner(text: Input(type="string"), n: Input(type="integer", default=2)):  # type: ignore[no-untyped-def, valid-type]
        both = two_steps(text=text, n=n)
        return {"result": both.outputs.result, "folder": both.outputs.folder}

    @dsl.pipeline(default_compute="cpu-cluster")
    def outer(text: str):  # type: ignore[no-untyped-def]
        one = inner(text=text)
        two = inner(text="other", n=5)
        last = COUNT(folder=two.outputs.folder)
        last.environment_variables = {"COLOUR": "blue"}
        last.compute = "serverless"
        last.outputs.counted.name = "counted-lines"
        last.outputs.counted.version = "7"
        return {"one": one.outputs.result}

    job = outer(text="nested")
    job.outputs.one.path = "azureml://datastores/workspaceblobstore/paths/chosen/one.txt"
    done = run(ml_client, job)
    assert done.status == "Completed", log(server, done, "logs/azureml/executionlogs.txt")
    assert next(server.home.glob("storage/*/azureml-blobstore-*/chosen/one.txt")).read_text().strip() == "2"
    found = steps(ml_client, done.name)
    assert set(found) == {"one", "two", "last"}
    deep = steps(ml_client, next(iter(steps(ml_client, found["two"].name).values())).name)
    assert set(deep) == {"first", "second"}
    assert ml_client.data.get("counted-lines", version="7").type == "uri_file"


def test_failure_skips_what_depends_on_it(server: RunningServer, ml_client: MLClient) -> None:
    bad = command(
        name="bad",
        inputs={"text": Input(type="string")},
        outputs={"made": Output(type="uri_folder")},
        command="echo ${{inputs.text}}; echo ${{outputs.made}}; exit 3",
        environment="bare:1",
    )

    @dsl.pipeline(default_compute="cpu-cluster")
    def failing(text: str) -> None:
        broken = bad(text=text)
        COUNT(folder=broken.outputs.made)
        slow = MAKE(text="slow", n=1)
        COUNT(folder=slow.outputs.made, extra="after")

    going = failing(text="x")
    going.settings.continue_on_step_failure = True
    done = run(ml_client, going)
    found = steps(ml_client, done.name)
    assert done.status == "Failed"
    assert {name: child.status for name, child in found.items()} == {
        "broken": "Failed",
        "slow": "Completed",
        "count_1": "Completed",
    }
    with pytest.raises(JobException, match="'broken'"):
        ml_client.jobs.stream(done.name)
    stopped = run(ml_client, failing(text="y"))
    assert stopped.status == "Failed"
    assert "count" not in steps(ml_client, stopped.name)


def test_a_file_that_a_step_did_not_write_is_named(ml_client: MLClient) -> None:
    idle = command(name="idle", outputs={"file": Output(type="uri_file")}, command="true", environment="bare:1")
    read = command(name="read", inputs={"file": Input(type="uri_file")}, command="true", environment="bare:1")

    @dsl.pipeline(default_compute="cpu-cluster")
    def forgetful() -> None:
        read(file=idle().outputs.file)

    done = run(ml_client, forgetful())
    with pytest.raises(JobException, match="'idle' completed and did not write the file of its output 'file'"):
        ml_client.jobs.stream(done.name)


def test_cancel_ends_the_steps(ml_client: MLClient) -> None:
    sleep = command(
        name="sleep", inputs={"s": Input(type="integer")}, command="sleep ${{inputs.s}}", environment="bare:1"
    )

    @dsl.pipeline(default_compute="cpu-cluster")
    def sleeping() -> None:
        sleep(s=60)
        sleep(s=61)

    @dsl.pipeline(default_compute="cpu-cluster")
    def around() -> None:
        sleeping()

    job = ml_client.jobs.create_or_update(around())
    deadline = time.monotonic() + 60
    while True:
        inner = list(ml_client.jobs.list(parent_job_name=job.name))
        below = [child for node in inner for child in ml_client.jobs.list(parent_job_name=node.name)]
        if [child.status for child in below] == ["Running", "Running"]:
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ml_client.jobs.begin_cancel(job.name).result()
    assert ml_client.jobs.get(job.name).status == "Canceled"
    assert {ml_client.jobs.get(child.name).status for child in below} == {"Canceled"}
    ml_client.jobs.archive(job.name)
    assert job.name not in {listed.name for listed in ml_client.jobs.list()}


def test_control_outputs_artifacts_and_optional(server: RunningServer, ml_client: MLClient) -> None:
    text = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
settings:
  default_compute: azureml:cpu-cluster
jobs:
  tell:
    type: command
    environment: azureml:bare:1
    command: echo seven > ${{outputs.word}}; mkdir -p outputs; echo kept > outputs/k.txt
    outputs:
      artifacts:
      word:
        type: uri_file
        path: azureml://datastores/${{default_datastore}}/paths/custom/${{name}}/w.txt
  hear:
    type: command
    environment: azureml:bare:1
    command: cat ${{inputs.word}}; cat ${{inputs.all}}/outputs/k.txt
    inputs:
      word: ${{parent.jobs.tell.outputs.word}}
      all: ${{parent.jobs.tell.outputs.artifacts}}
"""
    path = server.home.parent / "pipeline.yml"
    path.write_text(text)
    done = run(ml_client, load_job(path))
    assert done.status == "Completed", log(server, done, "logs/azureml/executionlogs.txt")
    found = steps(ml_client, done.name)
    assert log(server, found["hear"]).split() == ["seven", "kept"]
    place = next(server.home.glob(f"storage/*/azureml-blobstore-*/custom/{found['tell'].name}/w.txt"))
    assert place.read_text() == "seven\n"


def test_an_optional_input_of_the_pipeline_may_stay_unset(server: RunningServer, ml_client: MLClient) -> None:
    @dsl.pipeline(default_compute="cpu-cluster")
    def told(extra: Input(type="string", optional=True)) -> None:  # type: ignore[valid-type]
        made = MAKE(text="unset", n=1)
        COUNT(folder=made.outputs.made, extra=extra)

    done = run(ml_client, told())
    assert done.status == "Completed"
    assert "extra" not in log(server, steps(ml_client, done.name)["count"])
    with_it = run(ml_client, told(extra="given"))
    assert "extra=given" in log(server, steps(ml_client, with_it.name)["count"])
    plain = command(
        name="plain",
        inputs={"extra": Input(type="string", optional=True)},
        command="echo ${{inputs.extra}}",
        environment="bare:1",
    )

    @dsl.pipeline(default_compute="cpu-cluster")
    def untold() -> None:
        plain()

    with pytest.raises(HttpResponseError, match=r"'plain' uses \$\{\{inputs.extra\}\}, an optional input without"):
        ml_client.jobs.create_or_update(untold())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["jobs"]["first"]["inputs"]["n"].update(value="9"), "Input 'n' of the node 'first' is '9'"),
        (lambda p: p["jobs"]["first"]["inputs"]["n"].update(value="x"), "must be a whole number"),
        (lambda p: p["jobs"]["first"]["inputs"].pop("text"), "needs the input 'text'"),
        (lambda p: p["jobs"]["first"]["inputs"].update(oops={"value": "1"}), "has no input 'oops'"),
        (lambda p: p["jobs"]["first"]["inputs"]["text"].update(value="${{parent.inputs.txt}}"), "Did you mean 'text'"),
        (
            lambda p: p["jobs"]["first"].update(resources={"instance_count": 0}),
            "is 0 and must be a whole number from 1. (properties.jobs.first.resources.instance_count)",
        ),
        (
            lambda p: p["jobs"]["first"].update(environment_variables={"A=B": "x"}),
            "'A=B' cannot be the name of an environment variable",
        ),
        (lambda p: p["jobs"]["first"].update(type="spark"), "spark node 'first'"),
        (lambda p: p["jobs"]["first"].update(componentId="azureml:nothing:1"), "There is no component 'nothing'"),
        (lambda p: p["jobs"]["first"].update(computeId="azureml:nothing"), "There is no compute 'nothing'"),
        (lambda p: p["jobs"]["first"].update(computeId="${{parent.inputs.text}}"), "There is no compute 'refused'"),
        (lambda p: p["settings"].update(on_finalize="second"), "settings.on_finalize of a pipeline"),
        (lambda p: p["settings"].update(default_datastore="no"), "(properties.settings.default_datastore)"),
        (
            lambda p: p["jobs"]["second"]["inputs"]["folder"].update(value="${{parent.jobs.first.outputs.mode}}"),
            "Did you mean 'made'",
        ),
        (
            lambda p: p["jobs"]["second"]["inputs"]["folder"].update(value="${{parent.jobs.second.outputs.counted}}"),
            "'second' of the pipeline waits for itself",
        ),
        (
            lambda p: p["jobs"]["first"].update(environment_variables={"X": "${{parent.jobs.second.outputs.counted}}"}),
            "first, second of the pipeline wait for each other",
        ),
        (
            lambda p: p["jobs"]["first"].update(environment_variables={"X": "${{parent.inputs.txt}}"}),
            "Did you mean 'text'? (properties.jobs.first.environment_variables)",
        ),
        (lambda p: p["jobs"].clear(), "at least one node"),
    ],
)
def test_refusals_name_the_node(server: RunningServer, ml_client: MLClient, change: Any, message: str) -> None:
    sent: dict[str, Any] = {}
    job = ml_client.jobs.create_or_update(two_steps(text="refused"))
    path = f"{WORKSPACE_ID}/jobs/{job.name}"
    _, sent = send(server, Bad("", "GET", path))
    properties = {k: v for k, v in sent["properties"].items() if k not in ("status", "services")}
    change(properties)
    status, answer = send(server, Bad("", "PUT", f"{path}-bad", {"properties": properties}))
    assert status in (400, 404, 501), answer
    assert message in f"{answer['error']['message']} ({answer['error']['target']})"
    ended(ml_client, job.name)


def test_an_empty_value_is_named(ml_client: MLClient) -> None:
    with pytest.raises(HttpResponseError, match=r"'first' uses \${{parent.inputs.text}}.* whose value is empty"):
        ml_client.jobs.create_or_update(two_steps(text=""))


def test_rerun_from_a_node(server: RunningServer, ml_client: MLClient) -> None:
    first = run(ml_client, two_steps(text="rerun"))
    earlier = steps(ml_client, first.name)
    path = f"{WORKSPACE_ID}/jobs/{first.name}/rerun"
    status, answer = send(server, Bad("", "POST", path, {"from": "secnd"}))
    assert (status, "Did you mean 'second'" in answer["error"]["message"]) == (400, True)
    status, answer = send(server, Bad("", "POST", path, {"from": "second"}))
    assert status == 201, answer
    again = ended(ml_client, answer["name"])
    assert again.status == "Completed"
    found = steps(ml_client, again.name)
    assert found["first"].properties["azureml.reusedrunid"] == earlier["first"].name
    assert "azureml.isreused" not in found["second"].properties
    status, answer = send(server, Bad("", "POST", f"{WORKSPACE_ID}/jobs/{again.name}/rerun", {"from": "second"}))
    assert status == 201, answer
    ended(ml_client, answer["name"])
    assert steps(ml_client, answer["name"])["first"].properties["azureml.reusedrunid"] == earlier["first"].name


def test_a_submitted_pipeline_is_changed_but_never_another(ml_client: MLClient) -> None:
    @dsl.pipeline(default_compute="cpu-cluster")
    def one_step(text: str) -> None:
        first = COUNT(folder=MAKE(text=text, n=1).outputs.made)
        first.name = "first"

    @dsl.pipeline(default_compute="cpu-cluster")
    def swapped(text: str) -> None:
        second = MAKE(text=text)
        second.name = "second"
        first = COUNT(folder=second.outputs.made)
        first.name = "first"

    done = run(ml_client, two_steps(text="named", n=3))
    fetched = ml_client.jobs.get(done.name)
    fetched.tags, fetched.display_name = {"seen": "yes"}, "renamed"
    changed = ml_client.jobs.create_or_update(fetched)
    assert (changed.tags, changed.display_name) == ({"seen": "yes"}, "renamed")
    for other, what in [
        (two_steps(text="other", n=3), "inputs.text"),
        (one_step(text="named"), "jobs"),
        (swapped(text="named"), r"jobs.\w+.componentId"),
    ]:
        other.name = done.name
        with pytest.raises(ResourceExistsError, match=f"a submitted job's {what} cannot change"):
            ml_client.jobs.create_or_update(other)


def test_deleted_with_its_steps(server: RunningServer, ml_client: MLClient) -> None:
    done = run(ml_client, two_steps(text="deleted"))
    child = next(iter(steps(ml_client, done.name).values()))
    ml_client.jobs._operation_2023_02_preview.begin_delete(
        id=done.name, resource_group_name="rg-lazulite", workspace_name="mlw-default"
    ).result()
    status, _ = send(server, Bad("", "GET", f"{WORKSPACE_ID}/jobs/{child.name}"))
    assert status == 404
