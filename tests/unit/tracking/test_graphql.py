"""The queries of MLflow's pages, and what its pages ask beside them."""

from __future__ import annotations

from typing import Any

import pytest

RUN = """
query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {
  mlflowGetRun(input: $data) {
    apiError { helpUrl code message }
    run {
      info { runName status runUuid experimentId artifactUri endTime lifecycleStage startTime userId }
      experiment { experimentId name tags { key value } artifactLocation lifecycleStage lastUpdateTime }
      modelVersions { status version name source }
      data { metrics { key value step timestamp } params { key value } tags { key value } }
      inputs { datasetInputs { dataset { digest name profile schema source sourceType } tags { key value } }
               modelInputs { modelId } }
      outputs { modelOutputs { modelId step } }
    }
  }
}
"""
RUNS = """
query SearchRuns($data: MlflowSearchRunsInput!) {
  mlflowSearchRuns(input: $data) {
    apiError { code message }
    runs { info { runUuid runName } experiment { name } modelVersions { name version creationTimestamp } }
  }
}
"""


async def ask(api: Any, query: str, **variables: Any) -> Any:
    answer = await api.call("POST", "graphql", api="", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    assert "errors" not in answer.json(), answer.text
    return answer.json()["data"]


async def test_a_run_with_all_that_is_shown_of_it(api: Any) -> None:
    run_id = await api.a_run(run_name="first", tags=[{"key": "team", "value": "a"}])
    await api.post("runs/log-metric", run_id=run_id, key="loss", value=0.5, step=1 << 40, timestamp=7)
    await api.post("runs/log-metric", run_id=run_id, key="bad", value="NaN", timestamp=7)
    await api.post("runs/log-parameter", run_id=run_id, key="lr", value="0.1")
    await api.post("registered-models/create", name="m")
    source = f"mlflow-artifacts:/0/{run_id}/artifacts/model"
    await api.post("model-versions/create", name="m", source=source, run_id=run_id)
    found = (await ask(api, RUN, data={"runId": run_id}))["mlflowGetRun"]
    run = found["run"]
    assert found["apiError"] is None
    assert (run["info"]["runUuid"], run["info"]["runName"], run["info"]["startTime"]) == (run_id, "first", "1")
    assert run["experiment"]["name"] == "Default"
    assert run["modelVersions"] == [{"status": "READY", "version": "1", "name": "m", "source": source}]
    metrics = {one["key"]: (one["value"], one["step"]) for one in run["data"]["metrics"]}
    assert metrics == {"loss": (0.5, str(1 << 40)), "bad": (None, "0")}
    assert run["data"]["params"] == [{"key": "lr", "value": "0.1"}]
    assert {"key": "team", "value": "a"} in run["data"]["tags"]


async def test_runs_share_what_they_have_in_common(api: Any) -> None:
    first, second = await api.a_run(run_name="one"), await api.a_run(run_name="two")
    await api.post("registered-models/create", name="m")
    for run_id in (first, second):
        source = f"mlflow-artifacts:/0/{run_id}/artifacts/model"
        await api.post("model-versions/create", name="m", source=source, run_id=run_id)
    found = (await ask(api, RUNS, data={"experimentIds": ["0"], "filter": ""}))["mlflowSearchRuns"]["runs"]
    versions = {run["info"]["runUuid"]: [one["version"] for one in run["modelVersions"]] for run in found}
    assert versions == {first: ["1"], second: ["2"]}
    assert {run["experiment"]["name"] for run in found} == {"Default"}


async def test_what_is_not_there_is_told_in_the_answer(api: Any) -> None:
    found = (await ask(api, RUN, data={"runId": "none"}))["mlflowGetRun"]
    assert found["run"] is None
    assert found["apiError"]["code"] == "RESOURCE_DOES_NOT_EXIST"
    assert "none" in found["apiError"]["message"]


async def test_an_experiment_and_a_metrics_history(api: Any) -> None:
    made = await api.post("experiments/create", name="e", tags=[{"key": "k", "value": "v"}])
    query = (
        "query($i: MlflowGetExperimentInput!) { mlflowGetExperiment(input: $i) { experiment { name tags { value } } } }"
    )
    found = (await ask(api, query, i={"experimentId": made["experiment_id"]}))["mlflowGetExperiment"]
    assert found["experiment"] == {"name": "e", "tags": [{"value": "v"}]}
    run_id = await api.a_run()
    for step in range(3):
        await api.post("runs/log-metric", run_id=run_id, key="loss", value=step / 2, step=step, timestamp=1)
    query = """query($d: MlflowGetMetricHistoryBulkIntervalInput!) {
      mlflowGetMetricHistoryBulkInterval(input: $d) { __typename metrics { runId key step value } } }"""
    found = await ask(api, query, d={"runIds": [run_id], "metricKey": "loss", "maxResults": 320})
    points = found["mlflowGetMetricHistoryBulkInterval"]["metrics"]
    assert [(one["runId"], one["step"], one["value"]) for one in points] == [
        (run_id, "0", 0.0),
        (run_id, "1", 0.5),
        (run_id, "2", 1.0),
    ]


async def test_datasets_are_searched_as_a_mutation(api: Any) -> None:
    run_id = await api.a_run()
    dataset = {"name": "points", "digest": "d1", "source_type": "local", "source": "{}"}
    await api.post("runs/log-inputs", run_id=run_id, datasets=[{"tags": [], "dataset": dataset}])
    query = """mutation($i: MlflowSearchDatasetsInput!) {
      mlflowSearchDatasets(input: $i) { datasetSummaries { experimentId name digest } } }"""
    found = await ask(api, query, i={"experimentIds": ["0"]})
    assert found["mlflowSearchDatasets"]["datasetSummaries"] == [
        {"experimentId": "0", "name": "points", "digest": "d1"}
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [({}, "query"), ({"query": "{ a"}, "cannot be read"), ({"query": "{ " + "a " * 3000 + "}"}, "cannot be read"),
     ({"query": "{ " + " ".join(f"a{n}: __typename" for n in range(11)) + " }"}, "10 things"),
     ({"query": "{ __typename }", "variables": 3}, "variables"), ({"query": "{" * 900}, "cannot be read")],
)  # fmt: skip
async def test_what_is_no_query_is_refused(api: Any, body: Any, words: str) -> None:
    answer = await api.call("POST", "graphql", api="", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


async def test_an_unknown_field_is_an_error_of_the_query(api: Any) -> None:
    answer = await api.call("POST", "graphql", api="", json={"query": "{ secrets }"})
    assert answer.status_code == 200
    assert "secrets" in answer.json()["errors"][0]["message"]


async def test_pages_ask_what_there_is_beside_tracking(api: Any) -> None:
    ajax = "ajax-api/3.0/mlflow/"
    assert (await api.call("GET", "ui-telemetry", api=ajax)).json()["disable_ui_telemetry"] is True
    assert (await api.call("POST", "ui-telemetry", api=ajax, json={"records": [1]})).json()["status"] == "disabled"
    assert (await api.call("GET", "assistant/providers", api=ajax)).json()["providers"] == []
    proxy = "gateway-proxy?gateway_path="
    old = "ajax-api/2.0/mlflow/"
    assert (await api.call("GET", f"{proxy}api%2F2.0%2Fendpoints%2F", api=old)).json() == {"endpoints": []}
    assert (await api.call("GET", f"{proxy}elsewhere", api=old)).status_code == 501
    assert (await api.call("POST", "traces/search", api=ajax, json={"locations": []})).json() == {"traces": []}
    assert (await api.call("POST", "traces/search", api=ajax, json={})).status_code == 400


async def test_a_version_of_a_logged_model_belongs_to_the_models_run(api: Any) -> None:
    run_id = await api.a_run()
    made = await api.post("logged-models", experiment_id="0", name="model", source_run_id=run_id)
    model_id = made["model"]["info"]["model_id"]
    await api.post("registered-models/create", name="m")
    for source, more in ((f"models:/{model_id}", {}), (f"models:/{model_id}", {"model_id": model_id})):
        version = await api.post("model-versions/create", name="m", source=source, **more)
        assert version["model_version"]["run_id"] == run_id
