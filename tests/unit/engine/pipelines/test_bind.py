"""What a node, its component and the pipeline around it come to as the document of a job."""

from __future__ import annotations

from typing import Any

import pytest

from lazulite.engine.pipelines.bind import Context, child

PINNED = {"type": "command", "component": "c", "environment": "e", "code": None, "compute": None}
SPEC: dict[str, Any] = {
    "type": "command",
    "command": "echo",
    "environment": "azureml:e:1",
    "environment_variables": {"A": "component", "B": "component"},
    "resources": {"instance_count": 1, "shm_size": "1g"},
    "distribution": {"type": "mpi", "process_count_per_instance": 1},
    "inputs": {"word": {"type": "string", "default": "d"}, "data": {"type": "uri_folder", "mode": "download"}},
    "outputs": {"made": {"type": "uri_folder"}, "said": {"type": "string"}},
}


def made(sent: dict[str, Any], pipeline: dict[str, Any] | None = None, spec: dict[str, Any] = SPEC) -> dict[str, Any]:
    pinned = {**PINNED, "type": sent.get("type", "command"), "nodes": {}}
    results = {("first", "made"): {"jobInputType": "uri_folder", "uri": "azureml://a"}}
    return child(Context("step", sent, pinned, spec, pipeline or {}, results)).properties


@pytest.mark.parametrize(
    ("sent", "name", "expected"),
    [
        ({}, "environmentVariables", {"A": "component", "B": "component"}),
        ({"environment_variables": {"A": "n"}}, "environmentVariables", {"A": "n", "B": "component"}),
        ({"environmentVariables": {"A": "n"}}, "environmentVariables", {"A": "n", "B": "component"}),
        ({"resources": {"instance_count": "2"}}, "resources", {"instanceCount": 2, "shmSize": "1g"}),
        ({"resources": {"instanceCount": 2}}, "resources", {"instanceCount": 2, "shmSize": "1g"}),
        ({}, "distribution", {"distributionType": "Mpi", "processCountPerInstance": 1}),
        (
            {"distribution": {"distribution_type": "PyTorch", "process_count_per_instance": 2}},
            "distribution",
            {"distributionType": "PyTorch", "processCountPerInstance": 2},
        ),
        ({"limits": {"timeout": 60}}, "limits", {"jobLimitsType": "Command", "timeout": "PT60S"}),
        ({"identity": {"identity_type": "UserIdentity"}}, "identity", {"identityType": "UserIdentity"}),
        ({"identity": {"type": "user_identity"}}, "identity", {"identityType": "UserIdentity"}),
        ({"queue_settings": {"job_tier": "spot", "priority": 1}}, "queueSettings", {"jobTier": "Spot", "priority": 1}),
    ],
)
def test_the_node_comes_before_its_component(sent: dict[str, Any], name: str, expected: Any) -> None:
    assert made(sent)[name] == expected


def test_interactive_services_are_those_of_a_job() -> None:
    sent = {"services": {"lab": {"job_service_type": "JupyterLab", "nodes": {"nodes_value_type": "All"}}}}
    assert made(sent)["services"] == {"lab": {"jobServiceType": "JupyterLab", "nodes": {"nodes_value_type": "All"}}}
    assert made({})["services"] == {}


@pytest.mark.parametrize(
    ("sent", "pipeline", "expected"),
    [
        ({"compute": "azureml:own"}, {"settings": {"default_compute": "d"}}, "azureml:own"),
        ({"computeId": "${{parent.inputs.where}}"}, {"inputs": {"where": {"value": "chosen"}}}, "chosen"),
        ({}, {"settings": {"default_compute": "d"}, "computeId": "p"}, "d"),
        ({}, {"computeId": "p"}, "p"),
        ({"compute": "azureml:serverless"}, {"computeId": "p"}, None),
        ({}, {"settings": {"default_compute": "azureml:serverless"}}, None),
    ],
)
def test_compute(sent: dict[str, Any], pipeline: dict[str, Any], expected: str | None) -> None:
    assert made(sent, pipeline).get("computeId") == expected


def test_identity_and_compute_of_the_pipeline_reach_its_nested_ones() -> None:
    around = {"identity": {"identityType": "UserIdentity"}, "computeId": "p", "settings": {"force_rerun": True}}
    assert made({}, around)["identity"] == {"identityType": "UserIdentity"}
    nested = made({"type": "pipeline"}, around, spec={"jobs": {}})
    assert {name: nested[name] for name in around} == around


def test_inputs_are_bound() -> None:
    assert made({})["inputs"] == {"word": {"jobInputType": "literal", "value": "d"}}
    given = {"data": {"value": "${{parent.jobs.first.outputs.made}}"}, "word": {"value": "${{parent.inputs.w}}!"}}
    bound = made({"inputs": given}, {"inputs": {"w": {"jobInputType": "literal", "value": "hey"}}})["inputs"]
    assert bound["word"] == {"jobInputType": "literal", "value": "hey!"}
    assert bound["data"] == {"jobInputType": "uri_folder", "uri": "azureml://a", "mode": "Download"}


def test_outputs_follow_the_node_and_then_the_pipeline() -> None:
    plain = made({})["outputs"]
    assert (plain["made"], plain["said"]["jobOutputType"]) == ({"jobOutputType": "uri_folder"}, "uri_file")
    above = {"kept": {"mode": "Upload", "uri": "azureml://x", "assetName": "asset", "assetVersion": "2"}}
    written = made({"outputs": {"made": {"value": "${{parent.outputs.kept}}"}}}, {"outputs": above})["outputs"]
    assert written["made"] == {"jobOutputType": "uri_folder", **above["kept"]}
    own = made({"outputs": {"made": {"path": "azureml://y", "name": "own", "mode": "rw_mount"}}})["outputs"]["made"]
    assert (own["uri"], own["assetName"], own["mode"]) == ("azureml://y", "own", "ReadWriteMount")
