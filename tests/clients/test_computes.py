"""Computes through the unmodified SDK."""

from __future__ import annotations

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import (
    AmlCompute,
    ComputeInstance,
    KubernetesCompute,
    VirtualMachineCompute,
    VirtualMachineSshSettings,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from tests.server_fixture import GROUP, SUBSCRIPTION

pytestmark = pytest.mark.clients
_ELSEWHERE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"


def test_cluster_create_update_delete(ml_client: MLClient) -> None:
    wanted = AmlCompute(
        name="cpu-cluster", size="STANDARD_DS3_v2", location="westus", min_instances=0, max_instances=2,
        idle_time_before_scale_down=60,
    )  # fmt: skip
    made = ml_client.compute.begin_create_or_update(wanted).result()
    assert (made.size, made.min_instances, made.max_instances) == ("STANDARD_DS3_v2", 0, 2)
    assert made.idle_time_before_scale_down == 60
    ml_client.begin_create_or_update(AmlCompute(name="cpu-cluster", max_instances=3)).result()
    found = ml_client.compute.get("cpu-cluster")
    assert (found.max_instances, found.size, found.provisioning_state) == (3, "STANDARD_DS3_v2", "Succeeded")
    found.max_instances = 4
    assert ml_client.compute.begin_update(found).result().max_instances == 4
    assert [c.name for c in ml_client.compute.list(compute_type="amlcompute")] == ["cpu-cluster"]
    assert list(ml_client.compute.list_nodes("cpu-cluster")) == []
    ml_client.compute.begin_delete("cpu-cluster").result()
    with pytest.raises(ResourceNotFoundError):
        ml_client.compute.get("cpu-cluster")


def test_minimum_nodes_come_up(ml_client: MLClient) -> None:
    ml_client.compute.begin_create_or_update(AmlCompute(name="warm", size="Standard_DS3_v2", min_instances=1)).result()
    for _ in range(200):
        nodes = list(ml_client.compute.list_nodes("warm"))
        if nodes and nodes[0].node_state == "idle":
            break
    assert [node.node_state for node in nodes] == ["idle"]
    assert nodes[0].node_id


def test_instance_stops_and_starts(ml_client: MLClient) -> None:
    made = ml_client.compute.begin_create_or_update(ComputeInstance(name="ci-one", size="STANDARD_DS11_V2")).result()
    assert made.state == "Running"
    ml_client.compute.begin_stop("ci-one").result()
    assert ml_client.compute.get("ci-one").state == "Stopped"
    ml_client.compute.begin_start("ci-one").result()
    assert ml_client.compute.get("ci-one").state == "Running"
    ml_client.compute.begin_restart("ci-one").result()
    assert ml_client.compute.get("ci-one").state == "Running"
    ml_client.compute.enable_sso(name="ci-one", enable_sso=True)


def test_attached_computes_are_resources_and_hide_their_password(ml_client: MLClient) -> None:
    cluster = KubernetesCompute(
        name="k8s", namespace="default", resource_id=f"{_ELSEWHERE}/Microsoft.ContainerService/managedClusters/x"
    )
    assert ml_client.compute.begin_attach(cluster).result().type == "kubernetes"
    machine = VirtualMachineCompute(
        name="machine",
        resource_id=f"{_ELSEWHERE}/Microsoft.Compute/virtualMachines/x",
        ssh_settings=VirtualMachineSshSettings(admin_username="u", admin_password="never-shown"),
    )
    attached = ml_client.compute.begin_attach(machine).result()
    assert attached.ssh_settings.admin_username == "u"
    assert "never-shown" not in str(attached)
    ml_client.compute.begin_delete("k8s", action="Detach").result()
    assert "k8s" not in [c.name for c in ml_client.compute.list()]


def test_sizes_and_usages(ml_client: MLClient) -> None:
    sizes = {size.name: size for size in ml_client.compute.list_sizes()}
    assert sizes["Standard_DS3_v2"].v_cp_us == 4
    assert any(usage.limit > 0 for usage in ml_client.compute.list_usage())


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (AmlCompute(name="cpu2", size="STANDARD_DS3_v9"), "Did you mean 'Standard_DS3_v2'"),
        (AmlCompute(name="c", size="STANDARD_DS3_v2"), "3 to 24 letters"),
        (AmlCompute(name="cpu3", size="STANDARD_DS3_v2", min_instances=3, max_instances=1), "minNodeCount 3 is above"),
    ],
)
def test_refusals_say_what_would_be_right(ml_client: MLClient, compute: AmlCompute, message: str) -> None:
    with pytest.raises(HttpResponseError, match=message):
        ml_client.compute.begin_create_or_update(compute).result()
    assert compute.name not in [c.name for c in ml_client.compute.list()]


def test_unknown_compute_names_the_nearest(ml_client: MLClient) -> None:
    ml_client.compute.begin_create_or_update(AmlCompute(name="gpu-cluster", size="Standard_NC6")).result()
    with pytest.raises(ResourceNotFoundError, match="Did you mean 'gpu-cluster'"):
        ml_client.compute.get("gpu-clster")
