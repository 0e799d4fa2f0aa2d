"""Computes: clusters and instances that the engine moves, attached machines as resources."""

from __future__ import annotations

from lazulite.core import names
from lazulite.core.clock import parse_duration
from lazulite.core.errors import ApiError, conflict, nearest, validation
from lazulite.model import wire
from lazulite.resources import linked, vm_sizes
from lazulite.resources.declaration import Action, Answer, Call, Reading, ResourceType, Verb, Write
from lazulite.store import resources
from lazulite.store.resources import Json, Resource

CLUSTER, INSTANCE = "AmlCompute", "ComputeInstance"
#: What is attached, by kind: a machine or service that lies elsewhere.
_ELSEWHERE = {
    "Kubernetes": ("Microsoft.ContainerService/managedClusters", "Microsoft.Kubernetes/connectedClusters"),
    "VirtualMachine": ("Microsoft.Compute/virtualMachines",),
    "SynapseSpark": ("Microsoft.Synapse/workspaces/bigDataPools",),
    "HDInsight": ("Microsoft.HDInsight/clusters",),
    "Databricks": ("Microsoft.Databricks/workspaces",),
    "DataFactory": ("Microsoft.DataFactory/factories",),
    "DataLakeAnalytics": ("Microsoft.DataLakeAnalytics/accounts",),
}
ATTACHED = tuple(_ELSEWHERE)
KINDS = (CLUSTER, INSTANCE, *ATTACHED)
_SECRET_FIELDS = ("administratorAccount", "databricksAccessToken")
_DEFAULT_IDLE = "PT120S"


def prepare(write: Write) -> None:
    properties = write.properties
    kind = _kind(write)
    properties["computeType"] = kind
    write.body.setdefault("location", write.services.location)
    inner = properties.get("properties")
    if inner is None:
        inner = {}
    if not isinstance(inner, dict):
        raise validation("properties.properties must be an object.", "properties.properties")
    properties["properties"] = inner
    old = write.existing.properties.get("properties", {}) if write.existing else {}
    _check_links(write, kind, inner, old)
    if kind == CLUSTER:
        _prepare_cluster(inner, old)
    elif kind == INSTANCE:
        _prepare_instance(write, inner, old)
    else:
        _seal(write, inner)
    if write.existing is not None and "preempted" in write.existing.spec:
        write.body["preempted"] = write.existing.spec["preempted"]
    write.state = write.existing.state if write.existing else ("Creating" if kind == INSTANCE else "Succeeded")
    if kind in ATTACHED:
        write.state = "Succeeded"
    if write.existing is None:
        write.status = {"state": write.state, "nodes": []}


def view(reading: Reading, resource: Resource) -> Json:
    properties = dict(resource.properties)
    inner = dict(properties.get("properties") or {})
    kind = properties["computeType"]
    if kind == CLUSTER:
        inner |= _cluster_state(resource)
    elif kind == INSTANCE:
        inner |= _instance_state(reading, resource)
    properties["properties"] = inner
    return {
        "description": None,
        "disableLocalAuth": True,
        **properties,
        "computeLocation": properties.get("computeLocation") or resource.spec.get("location"),
        "provisioningState": "Succeeded",
        "provisioningErrors": None,
        "createdOn": resource.created_at,
        "modifiedOn": resource.modified_at,
        "isAttachedCompute": kind in ATTACHED,
    }


def start(call: Call) -> Answer:
    return _turn(call, "Started", ("Running", "Failed"))


def stop(call: Call) -> Answer:
    return _turn(call, "Stopped", ("Stopped", "Failed"))


def restart(call: Call) -> Answer:
    _instance_only(call, "restart")
    spec = {**call.resource.spec, "desired": "Started", "restarts": call.resource.spec.get("restarts", 0) + 1}
    resources.update(call.connection, call.resource.with_(spec=spec, state="Restarting"), by=call.principal.name)
    return Answer(202, None, ("Running", "Failed"))


def list_nodes(call: Call) -> Answer:
    """Both spellings of each field: the SDK's own entities read the snake case."""
    nodes = []
    for node in call.resource.status.get("nodes", []):
        shown = {
            "nodeId": node["nodeId"],
            "privateIpAddress": node.get("privateIpAddress"),
            "publicIpAddress": None,
            "port": node.get("port"),
            "nodeState": node["state"],
            "runId": node.get("job"),
        }
        snake = {"node_id": shown["nodeId"], "private_ip_address": shown["privateIpAddress"],
                 "public_ip_address": None, "node_state": shown["nodeState"], "run_id": shown["runId"]}  # fmt: skip
        nodes.append({**shown, **snake})
    return Answer(200, {"nodes": nodes, "nextLink": None})


def list_keys(call: Call) -> Answer:
    stored = call.services.secrets.get(call.connection, call.resource.id, "attached")
    return Answer(200, {"computeType": call.resource.properties["computeType"], **(stored or {})})


def enable_sso(call: Call) -> Answer:
    """Remember whether single sign-on to the instance's applications is wanted."""
    _instance_only(call, "enableSso")
    wanted = call.body.get("enableSSO")
    if not isinstance(wanted, bool):
        raise validation("enableSSO must be true or false.", "enableSSO")
    properties = {**call.resource.properties}
    properties["properties"] = {**properties.get("properties", {}), "enableSSO": wanted}
    spec = {**call.resource.spec, "properties": properties}
    resources.update(call.connection, call.resource.with_(spec=spec), by=call.principal.name)
    return Answer(200)


def resize(call: Call) -> Answer:
    """Set the cluster's target node count, within its bounds."""
    target = call.body.get("targetNodeCount")
    if call.resource.properties["computeType"] != CLUSTER or not isinstance(target, int):
        raise validation("resize needs a cluster and a whole number targetNodeCount.", "targetNodeCount")
    scale = {**call.resource.properties["properties"]["scaleSettings"], "minNodeCount": target}
    if target > scale["maxNodeCount"]:
        raise validation(f"targetNodeCount {target} is above maxNodeCount {scale['maxNodeCount']}.", "targetNodeCount")
    inner = {**call.resource.properties["properties"], "scaleSettings": scale}
    spec = {**call.resource.spec, "properties": {**call.resource.properties, "properties": inner}}
    resources.update(call.connection, call.resource.with_(spec=spec), by=call.principal.name)
    return Answer(202)


def preempt(call: Call) -> Answer:
    """Take a node away, as Azure does with low-priority ones, to see what a job does then. Ours, not Azure's.

    The body names a `nodeId`; without one a node that runs a job is taken.
    """
    nodes = call.resource.status.get("nodes", [])
    wanted = call.body.get("nodeId") or next((n["nodeId"] for n in nodes if n.get("job")), None)
    if wanted not in [node["nodeId"] for node in nodes]:
        known = [node["nodeId"] for node in nodes]
        message = f"There is no node '{wanted}'.{nearest(str(wanted), known)}" if wanted else "No node runs a job."
        raise ApiError(400, "NodeNotFound", message, target="nodeId")
    taken = [*call.resource.spec.get("preempted", []), wanted]
    resources.update(
        call.connection, call.resource.with_(spec={**call.resource.spec, "preempted": taken}), by=call.principal.name
    )
    return Answer(202, {"nodeId": wanted})


def _kind(write: Write) -> str:
    given = write.properties.get("computeType")
    known = {kind.lower(): kind for kind in KINDS}
    kind = known.get(str(given).lower())
    if kind is None:
        raise validation(f"computeType is '{given}'.{nearest(str(given), KINDS)}", "properties.computeType")
    if write.existing is not None and write.existing.properties["computeType"] != kind:
        was = write.existing.properties["computeType"]
        raise conflict(f"'{write.name}' is of type {was} and cannot become {kind}: delete it first.", "computeType")
    if write.existing is None:
        rule = names.DATASTORE if kind == "SynapseSpark" and "_" in write.name else names.COMPUTE
        rule.check(write.name)
    return kind


def _check_links(write: Write, kind: str, inner: Json, old: Json) -> None:
    """The ids of what lies elsewhere: it is kept and given back, and nobody names it without a right to it."""
    properties, before = write.properties, write.existing.properties if write.existing else {}
    id_ = properties.get("resourceId")
    if id_ and id_ != before.get("resourceId"):
        if kind not in _ELSEWHERE:
            raise validation(f"A compute of type {kind} has no resourceId: leave it out.", "properties.resourceId")
        attached = linked.Kind(f"compute of type {kind}", _ELSEWHERE[kind], "write")
        properties["resourceId"] = linked.check(write, id_, attached, "properties.resourceId")
    subnet = (inner.get("subnet") or {}).get("id")
    if subnet and subnet != (old.get("subnet") or {}).get("id"):
        inner["subnet"] = {"id": linked.check(write, subnet, linked.SUBNET, "properties.properties.subnet.id")}
    if (inner.get("virtualMachineImage") or {}).get("id"):
        target = "properties.properties.virtualMachineImage.id"
        raise ApiError(501, "NotImplemented", "Nodes run no image here. Leave virtualMachineImage out.", target=target)


def _prepare_cluster(inner: Json, old: Json) -> None:
    # The size cannot change. The SDK fills its default in where an update leaves it out, so that means: as it was.
    sent = inner.get("vmSize")
    if old.get("vmSize") and (not sent or sent == vm_sizes.DEFAULT):
        sent = old["vmSize"]
    inner["vmSize"] = _size(sent or vm_sizes.DEFAULT)
    if old.get("vmSize") and inner["vmSize"].lower() != old["vmSize"].lower():
        message = f"The size of a cluster cannot change ({old['vmSize']} -> {inner['vmSize']}): delete it first."
        raise conflict(message, "properties.properties.vmSize")
    # The SDK writes Lowpriority.
    sent = str(inner.get("vmPriority") or old.get("vmPriority") or "Dedicated")
    priority = {"dedicated": "Dedicated", "lowpriority": "LowPriority"}.get(sent.lower())
    if priority is None:
        raise validation(
            f"vmPriority is '{sent}' and must be Dedicated or LowPriority.", "properties.properties.vmPriority"
        )
    inner["vmPriority"] = priority
    before = old.get("scaleSettings") or {}
    scale = {**before, **{k: v for k, v in (inner.get("scaleSettings") or {}).items() if v is not None}}
    scale.setdefault("minNodeCount", 0)
    scale.setdefault("maxNodeCount", 4)
    scale.setdefault("nodeIdleTimeBeforeScaleDown", _DEFAULT_IDLE)
    _check_scale(scale)
    inner["scaleSettings"] = scale
    inner.setdefault("osType", "Linux")


def _check_scale(scale: Json) -> None:
    target = "properties.properties.scaleSettings"
    low, high = scale["minNodeCount"], scale["maxNodeCount"]
    if not isinstance(low, int) or not isinstance(high, int) or low < 0 or high < 1:
        raise validation("minNodeCount must be a whole number from 0, maxNodeCount from 1.", target)
    if low > high:
        raise validation(f"minNodeCount {low} is above maxNodeCount {high}.", f"{target}.minNodeCount")
    try:
        parse_duration(str(scale["nodeIdleTimeBeforeScaleDown"]))
    except ValueError as error:
        raise validation(str(error), f"{target}.nodeIdleTimeBeforeScaleDown") from None


def _prepare_instance(write: Write, inner: Json, old: Json) -> None:
    inner["vmSize"] = _size(inner.get("vmSize") or old.get("vmSize") or vm_sizes.DEFAULT)
    idle = inner.get("idleTimeBeforeShutdown")
    if idle is not None:
        try:
            parse_duration(str(idle))
        except ValueError as error:
            raise validation(str(error), "properties.properties.idleTimeBeforeShutdown") from None
    write.body["desired"] = write.existing.spec.get("desired", "Started") if write.existing else "Started"
    write.body["restarts"] = write.existing.spec.get("restarts", 0) if write.existing else 0


def _seal(write: Write, inner: Json) -> None:
    found = {name: inner.pop(name) for name in _SECRET_FIELDS if name in inner}
    if not found:
        return
    account = found.get("administratorAccount")
    if isinstance(account, dict):
        inner["administratorAccount"] = {"username": account.get("username")}
        found = {k: str(v) for k, v in account.items() if v}
    write.services.secrets.put(write.connection, write.id, "attached", found)


def _size(name: str) -> str:
    if vm_sizes.find(name) is None:
        raise ApiError(
            400,
            "InvalidVmSize",
            f"There is no VM size '{name}'.{nearest(name, [s.name for s in vm_sizes.ALL])}",
            target="properties.properties.vmSize",
        )
    return name


def _turn(call: Call, desired: str, settled: tuple[str, ...]) -> Answer:
    _instance_only(call, "start" if desired == "Started" else "stop")
    spec = {**call.resource.spec, "desired": desired}
    moving = "Starting" if desired == "Started" else "Stopping"
    state = call.resource.state if call.resource.state in settled else moving
    status = {**call.resource.status, "state": state}
    resources.update(
        call.connection, call.resource.with_(spec=spec, state=state, status=status), by=call.principal.name
    )
    return Answer(202, None, settled)


def _instance_only(call: Call, action: str) -> None:
    kind = call.resource.properties["computeType"]
    if kind != INSTANCE:
        raise ApiError(
            400,
            "OperationNotSupported",
            f"'{call.resource.name}' is of type {kind}; only a ComputeInstance has {action}.",
            target="computeType",
        )


def _cluster_state(resource: Resource) -> Json:
    status = resource.status
    nodes = status.get("nodes", [])
    states = [node["state"] for node in nodes]
    return {
        "allocationState": status.get("allocationState", "Steady"),
        "allocationStateTransitionTime": status.get("allocationStateTransitionTime", resource.modified_at),
        "currentNodeCount": len(nodes),
        "targetNodeCount": status.get("targetNodeCount", len(nodes)),
        "nodeStateCounts": {
            f"{name}NodeCount": states.count(name)
            for name in ("idle", "running", "preparing", "unusable", "leaving", "preempted")
        },
        "errors": None,
    }


def _instance_state(reading: Reading, resource: Resource) -> Json:
    state = resource.state or "Creating"
    return {
        "state": state,
        "applications": [],
        "connectivityEndpoints": {"publicIpAddress": None, "privateIpAddress": "10.0.0.4"},
        "createdBy": {"userName": resource.created_by, "userOrgId": reading.services.tenant, "userId": ""},
        "errors": [],
        "lastOperation": {
            "operationName": "Start" if state == "Running" else "Create",
            "operationTime": resource.modified_at,
            "operationStatus": "Succeeded" if state in ("Running", "Stopped") else "InProgress",
            "operationTrigger": "User",
        },
        "osImageMetadata": {"currentImageVersion": "1", "latestImageVersion": "1", "isLatestOsImageVersion": True},
        "schedules": resource.properties.get("properties", {}).get("schedules") or {"computeStartStop": []},
    }


TYPE = ResourceType(
    collection="workspaces/computes",
    operations="Compute",
    wire=wire.Compute,
    verbs=frozenset(Verb),
    prepare=prepare,
    view=view,
    name_rule=names.RESOURCE,
    settled=("Succeeded", "Running", "Stopped", "Failed"),
    actions=(
        Action("start", start, "start", writes=True),
        Action("stop", stop, "stop", writes=True),
        Action("restart", restart, "restart", writes=True),
        Action("listNodes", list_nodes, "list_nodes"),
        Action("listKeys", list_keys, "list_keys"),
        Action("enableSso", enable_sso, "enable_sso", writes=True),
        Action("resize", resize, "resize", writes=True),
        Action("preempt", preempt, "preempt", writes=True),
    ),
)
