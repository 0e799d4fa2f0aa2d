"""Every property of every type that may hold an id or address, with one that leads into another group.

The tables are held to the catalogue: a new type or property needs an entry, be it `None` for what leads nowhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.server.two_groups import WS_A, WS_B, A, B, TwoGroups, two_groups

from lazulite.core.arm_id import PROVIDER
from lazulite.model import wire
from lazulite.model.asset_reference import datastore_uri
from lazulite.resources import catalogue, workspace_options

REGISTRY = f"{A}/providers/{PROVIDER}/registries/shared-a"
CURATED = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"
ELSEWHERE = "azureml://subscriptions/"
IDENTITY = f"{B}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/theirs"
ACCOUNT = "ACCOUNT"  # the name of ws-b's account, once it is known
#: Addresses of what lies in ws-b, as jobs and assets name them.
PLACES = (
    datastore_uri(WS_B, "workspaceblobstore", "x"),
    f"{ELSEWHERE}{WS_B.split('/subscriptions/')[1].replace(f'/providers/{PROVIDER}', '')}/jobs/j/outputs/o/paths/x",
    f"https://localhost:8443/storage/v1/{ACCOUNT}/_.blob.core.windows.net/azureml/x",
    f"wasbs://azureml@{ACCOUNT}.blob.core.windows.net/x",
    f"abfss://azureml@{ACCOUNT}.dfs.core.windows.net/x",
)
WRITABLE = (PLACES[0], *PLACES[2:])


def of_b(collection: str) -> tuple[str, ...]:
    """An asset of ws-b in the forms clients write its id in."""
    id_ = f"{WS_B}/{collection}/theirs/versions/1"
    return id_, f"azureml:{id_}", f"azureml:/{id_}", f"azureml:/{id_.replace('/resourceGroups/', '/resourcegroups/')}"


@dataclass(frozen=True)
class Leads:
    """What a property is given, and how that is refused; `path` where it is not the property's own."""

    values: tuple[Any, ...]
    status: int = 403
    path: str | None = None
    also: dict[str, Any] = field(default_factory=dict)


NOWHERE = None
ASSET = dict.fromkeys(("description", "tags.*", "properties.*"), NOWHERE)
DATA_INPUT = {"jobInputType": "uri_folder", "mode": "ReadOnlyMount"}
ENVIRONMENT = {
    **ASSET, **dict.fromkeys(("image", "condaFile", "build.dockerfilePath", "osType")),
    "build.contextUri": Leads(PLACES, path="build", also={"image": None}),
}  # fmt: skip
ADDRESSED = {
    "data": {**ASSET, "dataUri": Leads(PLACES), "dataType": NOWHERE},
    "models": {
        **ASSET, "modelUri": Leads(PLACES), **dict.fromkeys(("modelType", "flavors.*", "stage", "jobName")),
    },
    "codes": {**ASSET, "codeUri": Leads(PLACES)},
    "environments": ENVIRONMENT,
}  # fmt: skip
COMPONENT: dict[str, Leads | None] = {
    **ASSET,
    "componentSpec.command": NOWHERE,
    "componentSpec.code": Leads(of_b("codes")),
    "componentSpec.environment.*": Leads(of_b("environments"), path="componentSpec.environment"),
    "componentSpec.inputs.*.*": NOWHERE,
    "componentSpec.outputs.*.*": NOWHERE,
    "componentSpec.jobs.*": Leads(of_b("components"), path="componentSpec.jobs.n.component"),
    "componentSpec.task.*": Leads(of_b("codes"), path="componentSpec.task.code"),
    **dict.fromkeys((f"componentSpec.{name}" for name in (
        "environment_variables.*", "resources.*", "distribution.*", "retry_settings.*")), NOWHERE),
}  # fmt: skip


def in_registry(table: dict[str, Leads | None]) -> dict[str, Leads | None]:
    """A registry takes nothing of a workspace, whoever asks: 400."""
    return {name: Leads(leads.values, 400, leads.path, leads.also) if leads else None for name, leads in table.items()}


TABLES: dict[str, dict[str, Leads | None]] = {
    "workspaces": {
        **dict.fromkeys(workspace_options.OPTIONS, NOWHERE),
        "storageAccount": Leads((f"{B}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}",)),
        "keyVault": Leads((f"{B}/providers/Microsoft.KeyVault/vaults/theirs",)),
        "applicationInsights": Leads((f"{B}/providers/Microsoft.Insights/components/theirs",)),
        "containerRegistry": Leads((f"{B}/providers/Microsoft.ContainerRegistry/registries/theirs",)),
        "hubResourceId": Leads((WS_B,)),
        "primaryUserAssignedIdentity": Leads((IDENTITY,)),
        "serverlessComputeSettings": Leads(
            (f"{B}/providers/Microsoft.Network/virtualNetworks/net/subnets/sub",),
            path="serverlessComputeSettings.serverlessComputeCustomSubnet",
        ),
        "workspaceHubConfig": Leads((B,), path="workspaceHubConfig.defaultWorkspaceResourceGroup"),
        "associatedWorkspaces": Leads(([WS_B],), 501),
        "existingWorkspaces": Leads(([WS_B],), 501),
        "storageAccounts": Leads(([f"{B}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"],), 501),
    },
    "workspaces/computes": {
        **dict.fromkeys(
            (
                "computeType",
                "computeLocation",
                "description",
                "properties.vmSize",
                "properties.vmPriority",
                "properties.osType",
                "properties.scaleSettings.nodeIdleTimeBeforeScaleDown",
                "properties.idleTimeBeforeShutdown",
                "properties.schedules.*",
                "properties.administratorAccount.username",
                "properties.administratorAccount.password",
                "properties.administratorAccount.publicKeyData",
                "properties.administratorAccount.privateKeyData",
                "properties.databricksAccessToken",
            ),
            NOWHERE,
        ),
        "resourceId": Leads(
            (f"{B}/providers/Microsoft.Compute/virtualMachines/theirs",), also={"computeType": "VirtualMachine"}
        ),
        "properties.subnet.id": Leads((f"{B}/providers/Microsoft.Network/virtualNetworks/net/subnets/sub",)),
        "properties.virtualMachineImage.id": Leads((f"{B}/providers/Microsoft.Compute/images/theirs",), 501),
    },
    "workspaces/datastores": {
        **dict.fromkeys(
            (
                "datastoreType",
                "containerName",
                "filesystem",
                "fileShareName",
                "endpoint",
                "protocol",
                "credentials.credentialsType",
                "credentials.secrets.*",
                "tags.*",
                "properties.*",
                "description",
            ),
            NOWHERE,
        ),
        "accountName": Leads((ACCOUNT, f"localhost:8443/storage/v1/{ACCOUNT}/_")),
    },
    **{f"workspaces/{name}": table for name, table in ADDRESSED.items()},
    "workspaces/components": COMPONENT,
    "workspaces/jobs": {
        **ASSET,
        **dict.fromkeys(
            (
                "jobType",
                "command",
                "experimentName",
                "displayName",
                "inputs.*.jobInputType",
                "inputs.*.mode",
                "inputs.*.value",
                "outputs.*.jobOutputType",
                "outputs.*.mode",
                "outputs.*.assetName",
                "outputs.*.assetVersion",
                "environmentVariables.*",
                "resources.instanceType",
                "resources.shmSize",
                "resources.dockerArgs",
                "resources.properties.*",
                "limits.timeout",
                "limits.jobLimitsType",
                "distribution.distributionType",
                "identity.identityType",
                "identity.clientId",
                "identity.objectId",
                "queueSettings.jobTier",
                "services.*.*",
                "trial.command",
                "trial.environmentVariables.*",
                "trial.resources.instanceType",
                "trial.resources.shmSize",
                "trial.resources.dockerArgs",
                "trial.resources.properties.*",
                "trial.distribution.distributionType",
            ),
            NOWHERE,
        ),
        "codeId": Leads(of_b("codes")),
        "environmentId": Leads(of_b("environments")),
        "componentId": Leads(of_b("components")),
        # A job runs on a compute of its own workspace, whoever asks.
        "computeId": Leads((f"{WS_B}/computes/theirs", f"azureml:{WS_B}/computes/theirs"), 400),
        "inputs.*.uri": Leads((*PLACES, *of_b("data")), path="inputs.i.uri", also={"inputs": {"i": DATA_INPUT}}),
        "outputs.*.uri": Leads(WRITABLE, path="outputs.o.uri", also={"outputs": {"o": {}}}),
        "identity.resourceId": Leads((IDENTITY,), also={"identity": {"identityType": "Managed"}}),
        "settings.*": Leads(
            (f"{WS_B}/computes/theirs",), 400, "settings.default_compute", {"jobType": "Pipeline", "jobs": {"n": {}}}
        ),
        "trial.codeId": Leads(of_b("codes"), also="SWEEP"),  # type: ignore[arg-type]
        "trial.environmentId": Leads(of_b("environments"), also="SWEEP"),  # type: ignore[arg-type]
    },
    "registries": dict.fromkeys(("publicNetworkAccess", "intellectualPropertyPublisher")),
    **{f"registries/{name}": in_registry(table) for name, table in ADDRESSED.items()},
    "registries/environments": ENVIRONMENT,
    "registries/components": in_registry(COMPONENT),
}
NODE: dict[str, Leads | None] = {
    **dict.fromkeys((
        "type", "display_name", "description", "tags.*", "properties.*", "environment_variables.*", "resources.*",
        "limits.*", "distribution.*", "queue_settings.*", "services.*.*", "retry_settings.*"), NOWHERE),
    "component_id": Leads(of_b("components"), path="componentId"),
    "compute": Leads((f"{WS_B}/computes/theirs",), 400),
    "compute_id": Leads((f"{WS_B}/computes/theirs",), 400, "computeId"),
    "inputs.*.*": Leads((*PLACES, *of_b("data")), path="inputs.i.uri", also={"inputs": {"i": {**DATA_INPUT}}}),
    "outputs.*.*": Leads(WRITABLE, path="outputs.o.uri", also={"outputs": {"o": {"job_output_type": "uri_folder"}}}),
    "trial.*": Leads(of_b("components"), path="trial.componentId", also={"componentId": None}),
    "task.*": Leads(of_b("components"), path="task.componentId", also={"componentId": None}),
    "identity.*": Leads((IDENTITY,), path="identity.resource_id", also={"identity": {"type": "managed_identity"}}),
}  # fmt: skip
#: A document of each type that Alice may write.
BODIES: dict[str, Any] = {
    "workspaces": {},
    "workspaces/computes": {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_DS3_v2"}},
    "workspaces/datastores": {"datastoreType": "AzureBlob", "accountName": "elsewhere", "containerName": "c"},
    "workspaces/environments": {"image": "python:3.11"},
    "workspaces/data": {"dataType": "uri_folder", "dataUri": "azureml://datastores/workspaceblobstore/paths/x"},
    "workspaces/models": {"modelUri": "azureml://datastores/workspaceblobstore/paths/x"},
    "workspaces/components": {
        "componentSpec": {
            "type": "command", "command": "echo", "environment": CURATED,
            "inputs": {"i": {"type": "uri_folder", "optional": True}}, "outputs": {"o": {"type": "uri_folder"}},
        }
    },
    "workspaces/codes": {"codeUri": "https://example.org/c"},
    "workspaces/jobs": {"jobType": "Command", "command": "echo", "environmentId": CURATED},
    "registries": {},
    "registries/environments": {"image": "python:3.11"},
    "registries/data": {"dataType": "uri_folder", "dataUri": "https://example.org/d"},
    "registries/models": {"modelUri": "https://example.org/m"},
    "registries/components": {"componentSpec": {"type": "command", "command": "echo", "environment": CURATED}},
    "registries/codes": {"codeUri": "https://example.org/c"},
}  # fmt: skip
SWEEP = {
    "jobType": "Sweep", "command": None, "environmentId": None, "objective": {"goal": "minimize", "primaryMetric": "m"},
    "samplingAlgorithm": {"samplingAlgorithmType": "Random"}, "searchSpace": {"x": ["uniform", [0, 1]]},
    "limits": {"jobLimitsType": "Sweep", "maxTotalTrials": 1, "maxConcurrentTrials": 1},
    "trial": {"command": "echo ${{search_space.x}}", "environmentId": CURATED},
}  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[TwoGroups]:
    async with two_groups(tmp_path / "home") as made:
        yield made


@pytest.mark.parametrize("collection", [type_.collection for type_ in catalogue.ALL])
def test_every_property_of_the_catalogue_has_an_entry(collection: str) -> None:
    (type_,) = [type_ for type_ in catalogue.ALL if type_.collection == collection]
    known = set(paths(type_.wire)) | (set(workspace_options.OPTIONS) if collection == "workspaces" else set())
    assert known == set(TABLES[collection])


def test_every_property_of_a_node_has_an_entry() -> None:
    assert set(paths(wire.Node)) == set(NODE)


@pytest.mark.parametrize("collection", [type_.collection for type_ in catalogue.ALL])
async def test_what_leads_into_another_group_is_refused_and_leaves_nothing(world: TwoGroups, collection: str) -> None:
    if collection.startswith("registries/"):
        assert (await world.alice.put(REGISTRY, {})).status_code == 201
    mine = await world.alice.put(place(collection, "mine"), BODIES[collection])
    assert mine.status_code in (200, 201), mine.text
    for name, leads in TABLES[collection].items():
        also = SWEEP if leads and leads.also == "SWEEP" else leads.also if leads else {}  # type: ignore[comparison-overlap]
        for body, value in bodies({**BODIES[collection], **also}, name, leads):
            await refused(world, collection, body, f"{name} = {value}", leads.status if leads else 0)


async def test_what_a_node_names_in_another_group_is_refused_and_leaves_nothing(world: TwoGroups) -> None:
    assert (
        await world.alice.put(f"{WS_A}/components/c/versions/1", BODIES["workspaces/components"])
    ).status_code == 201
    node = {"type": "command", "componentId": "azureml:c:1"}
    pipeline = {"jobType": "Pipeline", "jobs": {"n": node}}
    mine = await world.alice.put(place("workspaces/jobs", "mine"), pipeline)
    assert mine.status_code == 201, mine.text
    for name, leads in NODE.items():
        for body, value in bodies({**node, **(leads.also if leads else {})}, name, leads):
            sent = {"jobType": "Pipeline", "jobs": {"n": body}}
            await refused(world, "workspaces/jobs", sent, f"{name} = {value}", leads.status if leads else 0)


@pytest.mark.parametrize("collection", ["workspaces", "workspaces/computes", "registries"])
async def test_identities_of_another_group_are_refused(world: TwoGroups, collection: str) -> None:
    before = world.rows()
    for id_, status in ((IDENTITY, 403), ("identity_resource_id", 400), (WS_A, 400)):
        identity = {"type": "UserAssigned", "userAssignedIdentities": {id_: {}}}
        answer = await world.alice.put(place(collection, "evil"), BODIES[collection], identity=identity)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["target"] == "identity.userAssignedIdentities"
    assert world.rows() == before


async def refused(world: TwoGroups, collection: str, body: Any, what: str, status: int) -> None:
    account = (await world.owner.properties(WS_B))["storageAccount"].rsplit("/", 1)[1]
    body = msgspec.json.decode(msgspec.json.encode(body).replace(ACCOUNT.encode(), account.encode()))
    before = world.rows()
    answer = await world.alice.put(place(collection, "evil"), body)
    assert answer.status_code == status, f"{what}: {answer.status_code} {answer.text}"
    if status == 403:
        assert answer.json()["error"]["code"] == "LinkedAuthorizationFailed", what
    assert world.rows() == before, what


def bodies(base: Any, name: str, leads: Leads | None) -> Iterator[tuple[Any, Any]]:
    for value in leads.values if leads else ():
        body = deepcopy(base)
        *above, last = (leads.path if leads and leads.path else name).split(".")
        holder = body
        for step in above:
            holder = holder.setdefault(step, {})
        holder[last] = {"contextUri": value} if name == "build.contextUri" else value
        yield body, value


def place(collection: str, name: str) -> str:
    if "/" not in collection:
        return f"{A}/providers/{PROVIDER}/{collection}/{name}"
    parent, below = collection.split("/")
    home = WS_A if parent == "workspaces" else REGISTRY
    return f"{home}/{below}/{name}" + ("" if below in ("computes", "datastores", "jobs") else "/versions/1")


def paths(struct: Any) -> Iterator[str]:
    """The properties of a Struct, at any depth, that may hold a text."""
    yield from _texts(msgspec.inspect.type_info(struct), "")


def _texts(info: Any, at: str) -> Iterator[str]:
    match info:
        case msgspec.inspect.StructType():
            for one in info.fields:
                yield from _texts(one.type, f"{at}.{one.encode_name}".strip("."))
        case msgspec.inspect.UnionType():
            inner = {path for kind in info.types for path in _texts(kind, at)}
            yield from inner - {at} if any(path != at for path in inner) else inner
        case msgspec.inspect.DictType():
            yield from _texts(info.value_type, f"{at}.*")
        case msgspec.inspect.ListType():
            yield from _texts(info.item_type, at)
        case msgspec.inspect.StrType() | msgspec.inspect.AnyType():
            yield at
