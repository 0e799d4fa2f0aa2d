"""A corpus of bad requests: each is refused in Azure's shape, names its field, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

import pytest
from tests.clients.raw_requests import Bad, send
from tests.server_fixture import SUBSCRIPTION, WORKSPACE_ID, RunningServer

pytestmark = pytest.mark.clients
WS = WORKSPACE_ID
RP = WS.rsplit("/workspaces/", 1)[0]
ENVIRONMENT = {"environmentId": "azureml:AzureML-sklearn-1.5@latest"}


COMPONENT = f"{WS}/components/c/versions/1"


def pipeline(**nodes: Any) -> dict[str, Any]:
    return {"properties": {"jobType": "Pipeline", "jobs": nodes}}


def job(**properties: Any) -> dict[str, Any]:
    return {"properties": {"jobType": "Command", "command": "echo", **ENVIRONMENT, **properties}}


CORPUS = [
    Bad("unknown compute", "PUT", f"{WS}/jobs/j", job(computeId="azureml:cpu-clster"), 404, "no compute", "computeId"),
    Bad("unknown environment", "PUT", f"{WS}/jobs/j", job(environmentId="azureml:nope:3"), 404, "nope", "environmentId"),
    Bad("environment version", "PUT", f"{WS}/jobs/j", job(environmentId="azureml:AzureML-sklearn-1.5:9999"), 404, "9999",
        "environmentId"),
    Bad("nearest curated name", "PUT", f"{WS}/jobs/j", job(environmentId="azureml:AzureML-sklern-1.5@latest"), 404,
        "Did you mean 'AzureML-sklearn-1.5'", "environmentId"),
    Bad("no environment", "PUT", f"{WS}/jobs/j", {"properties": {"jobType": "Command", "command": "x"}}, 400,
        "environmentId", "environmentId"),
    Bad("no command", "PUT", f"{WS}/jobs/j", job(command=" "), 400, "command", "properties.command"),
    Bad("command is a number", "PUT", f"{WS}/jobs/j", job(command=7), 400, "command", "properties.command"),
    Bad("unknown job type", "PUT", f"{WS}/jobs/j", {"properties": {"jobType": "Comand"}}, 400, "Command", "jobType"),
    Bad("what is not built says so", "PUT", f"{WS}/jobs/j", {"properties": {"jobType": "Spark"}}, 501, "Spark"),
    Bad("job name", "PUT", f"{WS}/jobs/a%20b", job(), 400, "letters, digits", "name"),
    Bad("missing input file", "PUT", f"{WS}/jobs/j",
        job(inputs={"d": {"jobInputType": "uri_file", "uri": "azureml://datastores/workspaceblobstore/paths/no.csv"}}),
        400, "does not exist", "properties.inputs.d.uri"),
    Bad("unknown datastore", "PUT", f"{WS}/jobs/j",
        job(inputs={"d": {"jobInputType": "uri_file", "uri": "azureml://datastores/workspacblobstore/paths/no.csv"}}),
        404, "Did you mean 'workspaceblobstore'", "properties.inputs.d"),
    Bad("unknown data asset", "PUT", f"{WS}/jobs/j",
        job(inputs={"d": {"jobInputType": "uri_file", "uri": "azureml:nothing:1"}}), 404, "nothing", "properties.inputs.d"),
    Bad("input type", "PUT", f"{WS}/jobs/j", job(inputs={"d": {"jobInputType": "uri_fil", "uri": "x"}}), 400,
        "uri_file", "properties.inputs.d.jobInputType"),
    Bad("input mode", "PUT", f"{WS}/jobs/j",
        job(inputs={"d": {"jobInputType": "uri_file", "uri": "https://example.com/x", "mode": "Mount"}}), 400,
        "ReadOnlyMount", "properties.inputs.d.mode"),
    Bad("literal without value", "PUT", f"{WS}/jobs/j", job(inputs={"d": {"jobInputType": "literal"}}), 400, "value",
        "properties.inputs.d.value"),
    Bad("inputs is a list", "PUT", f"{WS}/jobs/j", job(inputs=[1]), 400, "object", "properties.inputs"),
    Bad("input name", "PUT", f"{WS}/jobs/j", job(inputs={"a b": {}}), 400, "not a valid name", "properties.inputs"),
    Bad("placeholder", "PUT", f"{WS}/jobs/j", job(command="echo ${{inputs.x}}"), 400, "no such input", "properties.command"),
    Bad("output mode", "PUT", f"{WS}/jobs/j", job(outputs={"o": {"jobOutputType": "uri_folder", "mode": "X"}}), 400,
        "Upload", "properties.outputs.o.mode"),
    Bad("output address", "PUT", f"{WS}/jobs/j",
        job(outputs={"o": {"jobOutputType": "uri_folder", "uri": "https://example.com/x"}}), 400, "azureml://",
        "properties.outputs.o.uri"),
    Bad("timeout", "PUT", f"{WS}/jobs/j", job(limits={"timeout": "5 minutes"}), 400, "ISO 8601", "properties.limits.timeout"),
    Bad("instance count", "PUT", f"{WS}/jobs/j", job(resources={"instanceCount": 0}), 400, "whole number",
        "resources.instanceCount"),
    Bad("distribution", "PUT", f"{WS}/jobs/j", job(distribution={"distributionType": "Horovod"}), 400, "PyTorch",
        "properties.distribution.distributionType"),
    Bad("tags is a text", "PUT", f"{WS}/jobs/j", job(tags="x"), 400, "tags", "properties.tags"),
    Bad("properties is a list", "PUT", f"{WS}/jobs/j", {"properties": []}, 400, "object", "properties"),
    Bad("node with a list of inputs", "PUT", f"{WS}/jobs/j", pipeline(a={"componentId": COMPONENT, "inputs": [1]}), 400,
        "expected `object | null`", "properties.jobs.a.inputs"),
    Bad("node with a text for its outputs", "PUT", f"{WS}/jobs/j",
        pipeline(a={"componentId": COMPONENT, "outputs": "x"}), 400, "expected `object | null`", "properties.jobs.a.outputs"),
    Bad("node with a list in its inputs", "PUT", f"{WS}/jobs/j",
        pipeline(a={"componentId": COMPONENT, "inputs": {"x": [1]}}), 400, "got `array`", "properties.jobs.a.inputs.x"),
    Bad("node with a text for its variables", "PUT", f"{WS}/jobs/j",
        pipeline(a={"componentId": COMPONENT, "environmentVariables": "x"}), 400, "object",
        "properties.jobs.a.environment_variables"),
    Bad("settings is a text", "PUT", f"{WS}/jobs/j",
        {"properties": {"jobType": "Pipeline", "settings": "x", "jobs": {"a": {}}}}, 400, "object", "properties.settings"),
    Bad("trial with a text for its resources", "PUT", f"{WS}/jobs/j",
        {"properties": {"jobType": "Sweep", "trial": {"resources": "x"}}}, 400, "object", "properties.trial.resources"),
    Bad("component with a text as output", "PUT", f"{WS}/components/c/versions/1",
        {"properties": {"componentSpec": {"type": "command", "outputs": {"o": "uri_folder"}}}}, 400, "object",
        "properties.componentSpec.outputs.o"),
    Bad("half a character", "PUT", f"{WS}/jobs/j", None, 400, "half of a character", "body",
        raw=b'{"properties": {"jobType": "Command", "command": "\\ud800"}}'),
    Bad("not JSON", "PUT", f"{WS}/jobs/j", None, 400, "not JSON", "body", raw=b"{'a': 1}"),
    Bad("cut JSON", "PUT", f"{WS}/jobs/j", None, 400, "not JSON", "body", raw=b'{"properties": {"jobType'),
    Bad("not UTF-8", "PUT", f"{WS}/jobs/j", None, 400, "JSON", "body", raw=b"{\"a\": \"\xff\xfe\"}"),
    Bad("JSON list", "PUT", f"{WS}/jobs/j", [1], 400, "object", "body"),
    Bad("no body", "PUT", f"{WS}/jobs/j", None, 400, "no body", "body"),
    Bad("body too large", "PUT", f"{WS}/computes/abc", None, 413, "larger than", "body", raw=b" " * (17 * 1024 * 1024)),
    Bad("deep nesting", "PUT", f"{WS}/jobs/j", None, 400, "", raw=b'{"a":' * 5000 + b"1" + b"}" * 5000),
    Bad("compute type", "PUT", f"{WS}/computes/abc", {"properties": {"computeType": "AmlComput"}}, 400,
        "Did you mean 'AmlCompute'", "properties.computeType"),
    Bad("compute size", "PUT", f"{WS}/computes/abc",
        {"properties": {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_DS3_v9"}}}, 400, "Did you mean",
        "properties.properties.vmSize"),
    Bad("compute idle time", "PUT", f"{WS}/computes/abc",
        {"properties": {"computeType": "AmlCompute", "properties": {
            "vmSize": "Standard_DS3_v2", "scaleSettings": {"nodeIdleTimeBeforeScaleDown": "120"}}}}, 400, "ISO 8601"),
    Bad("compute action", "POST", f"{WS}/computes/none/start", {}, 404, "no compute", "name"),
    Bad("datastore type", "PUT", f"{WS}/datastores/d", {"properties": {"datastoreType": "AzureBlo"}}, 400,
        "Did you mean 'AzureBlob'", "properties.datastoreType"),
    Bad("datastore container", "PUT", f"{WS}/datastores/d",
        {"properties": {"datastoreType": "AzureBlob", "accountName": "a"}}, 400, "containerName",
        "properties.containerName"),
    Bad("datastore name", "PUT", f"{WS}/datastores/a-b", {"properties": {"datastoreType": "AzureBlob"}}, 400, "letters",
        "name"),
    Bad("data type", "PUT", f"{WS}/data/d/versions/1", {"properties": {"dataType": "uri_fil", "dataUri": "x"}}, 400,
        "Did you mean 'uri_file'", "properties.dataType"),
    Bad("data without uri", "PUT", f"{WS}/data/d/versions/1", {"properties": {"dataType": "uri_file"}}, 400, "dataUri",
        "properties.dataUri"),
    Bad("model type", "PUT", f"{WS}/models/m/versions/1", {"properties": {"modelUri": "x", "modelType": "mlflow"}}, 400,
        "Did you mean 'mlflow_model'", "properties.modelType"),
    Bad("environment without image", "PUT", f"{WS}/environments/e/versions/1", {"properties": {}}, 400, "image",
        "properties.image"),
    Bad("component without spec", "PUT", f"{WS}/components/c/versions/1", {"properties": {}}, 400, "componentSpec",
        "properties.componentSpec"),
    Bad("list view", "GET", f"{WS}/jobs?listViewType=Some", None, 400, "ActiveOnly", "listViewType"),
    Bad("top", "GET", f"{WS}/models?$top=none", None, 400, "whole number", "$top"),
    Bad("skip token", "GET", f"{WS}/models?$skipToken=x", None, 400, "nextLink", "$skipToken"),
    Bad("unknown workspace", "GET", f"{RP}/workspaces/mlw-defalt", None, 404, "Did you mean 'mlw-default'", "name"),
    Bad("unknown workspace above", "GET", f"{RP}/workspaces/mlw-defalt/jobs", None, 404, "Did you mean 'mlw-default'"),
    Bad("write below unknown workspace", "PUT", f"{RP}/workspaces/nope/data/d/versions/1",
        {"properties": {"dataType": "uri_file", "dataUri": "https://example.com"}}, 404, "nope"),
    Bad("workspace name", "PUT", f"{RP}/workspaces/a", {"location": "x", "properties": {}}, 400, "3 to 33", "name"),
    Bad("workspace kind", "PUT", f"{RP}/workspaces/abcd", {"kind": "Hubb", "properties": {}}, 400, "Hub", "kind"),
    Bad("deployment of something else", "PUT",
        f"{RP.split('/providers/')[0]}/providers/Microsoft.Resources/deployments/d", {"properties": {"parameters": {}}},
        400, "workspaceName"),
    Bad("group without location", "PUT", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/g2", {}, 400, "location",
        "location"),
    Bad("quota", "POST",
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations/x/updateQuotas",
        {"value": [{"id": "x", "limit": 1}]}, 400, "VM family", "value[0]"),
    Bad("quota that is no object", "POST",
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations/x/updateQuotas",
        {"value": [None]}, 400, "must be an object", "value[0]"),
    Bad("quota of another subscription", "POST",
        f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations/x/updateQuotas",
        {"value": [{"id": "/subscriptions/other/quotas/standardDSv3Family", "limit": 1}]}, 400, "this subscription", "value[0]"),
    Bad("not there", "GET", f"{WS}/nothings/x", None, 404, "nothing at"),
    Bad("wrong verb", "DELETE", f"{WS}/jobs", None, 405, "answers GET"),
    Bad("etag", "PUT", f"{RP}/workspaces/mlw-default", {"properties": {}}, 412, "If-Match", "If-Match",
        headers={"If-Match": '"0xOLD"'}),
    Bad("if-none-match", "PUT", f"{RP}/workspaces/mlw-default", {"properties": {}}, 412, "If-None-Match",
        "If-None-Match", headers={"If-None-Match": "*"}),
    Bad("foreign host", "GET", f"{WS}/jobs", None, 421, "host", "Host", headers={"Host": "evil.example"}),
    Bad("foreign origin", "GET", f"{WS}/jobs", None, 403, "evil", "Origin", headers={"Origin": "https://evil.example"}),
    Bad("no token", "GET", f"{WS}/jobs", None, 401, "bearer", headers={"Authorization": ""}),
    Bad("wrong token", "GET", f"{WS}/jobs", None, 401, "not issued by this server",
        headers={"Authorization": "Bearer abc.def.ghi"}),
    Bad("user key as token", "GET", f"{WS}/jobs", None, 401, "", headers={"Authorization": "Bearer x"}),
    Bad("job in the way of a run", "DELETE", f"{WS}/datastores/workspaceblobstore", None, 409, "cannot be deleted"),
    Bad("history of nothing", "GET", f"/history/v1.0{WS}/runs/nothing/details", None, 404, "no run", "runId"),
    Bad("run data of nothing", "POST", f"/history/v1.0{WS}/rundata", {}, 400, "runId", "runId"),
    Bad("role", "POST", "/lazulite/principals", {"name": "x", "role": "Ownr"}, 400, "Did you mean 'Owner'", "role"),
    Bad("traversal", "GET", f"{WS}/data/..%2f..%2fsecrets/versions/1", None, 404, ""),
    Bad("slash in a job's name", "GET", f"{WS}/jobs/a%2Fb", None, 404, "no slash", "name"),
    Bad("slash in a new job's name", "PUT", f"{WS}/jobs/a%2Fb", job(), 404, "no slash", "name"),
    Bad("slash in a version", "GET", f"{WS}/components/x/versions/a%2Fb", None, 404, "no slash", "version"),
    Bad("slashes that lead elsewhere", "DELETE", f"{WS}/data/a%2Fversions%2F1", None, 404, "no slash", "name"),
    Bad("null byte", "PUT", f"{WS}/data/a%00b/versions/1",
        {"properties": {"dataType": "uri_file", "dataUri": "https://example.com"}}, 400, "valid name"),
]  # fmt: skip


@pytest.mark.parametrize("bad", CORPUS, ids=lambda bad: bad.name)
def test_refused_in_azures_shape(server: RunningServer, bad: Bad) -> None:
    status, document = send(server, bad)
    assert status == bad.status, document
    error = document["error"]
    assert set(error) == {"code", "message", "target", "details"}
    assert bad.says.lower() in error["message"].lower()
    if bad.target:
        assert str(error["target"]).endswith(bad.target), error


def test_a_patch_that_changes_nothing(server: RunningServer) -> None:
    for body in ({}, {"tags": {"team": "a"}}, {"properties": {}}):
        status, answer = send(server, Bad("", "PATCH", WS, body))
        assert status == 200, answer
        assert answer["properties"]["workspaceId"]


def test_nothing_is_left_behind(server: RunningServer) -> None:
    for bad in CORPUS:
        send(server, bad)
    for collection in ("jobs", "computes", "data", "models", "components"):
        _, listed = send(server, Bad("", "GET", f"{WS}/{collection}?listViewType=All"))
        assert listed["value"] == [], collection
    _, stores = send(server, Bad("", "GET", f"{WS}/datastores"))
    assert len(stores["value"]) == 4
    _, workspaces = send(server, Bad("", "GET", f"{RP}/workspaces"))
    assert [w["name"] for w in workspaces["value"]] == ["mlw-default"]
    _, groups = send(server, Bad("", "GET", f"/subscriptions/{SUBSCRIPTION}/resourceGroups"))
    assert [g["name"] for g in groups["value"]] == ["rg-lazulite"]
