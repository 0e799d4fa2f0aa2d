"""Workspaces: what they stand on, their default datastores, keys and diagnosis."""

from __future__ import annotations

import re
import uuid

from lazulite.core import arm_id, names
from lazulite.core.errors import ApiError, validation
from lazulite.model import wire
from lazulite.resources import datastores, storage_accounts, workspace_options
from lazulite.resources.declaration import Action, Answer, Call, Reading, ResourceType, Shape, Verb, Write
from lazulite.store import ownership, resources
from lazulite.store.resources import Json, Resource

_KINDS = ("default", "hub", "project", "featurestore")


def prepare(write: Write) -> None:
    """A new workspace gets storage, vault, telemetry and its default datastores in the same transaction."""
    kind = str(write.body.get("kind") or "Default")
    if kind.lower() not in _KINDS:
        raise validation(f"'{kind}' is not a valid kind. Allowed: Default, Hub, Project, FeatureStore.", "kind")
    write.body["kind"] = kind
    write.body.setdefault("location", write.services.location)
    write.body["tags"] = write.body.get("tags") or {}
    write.body.setdefault("sku", {"name": "Basic", "tier": "Basic"})
    properties = write.properties
    without = properties.get("applicationInsights") == ""
    workspace_options.read(write)
    write.body["identity"] = _identity(write)
    if not properties.get("friendlyName"):
        properties["friendlyName"] = write.name
    if write.existing is not None:
        properties["workspaceId"] = write.existing.properties["workspaceId"]
        if not properties.get("applicationInsights"):
            properties["applicationInsights"] = write.existing.properties.get("applicationInsights")
        return
    properties["workspaceId"] = str(uuid.uuid4())
    for name in storage_accounts.DEPENDENTS:
        # As on Azure, hubs and projects have telemetry only where it is named.
        if name != "applicationInsights" or not (without or kind.lower() in ("hub", "project")):
            properties[name] = properties.get(name) or storage_accounts.provision(write, name)
    write.state = "Succeeded"
    datastores.provision_defaults(write, properties["workspaceId"])


def view(reading: Reading, resource: Resource) -> Json:
    services = reading.services
    guid = resource.properties["workspaceId"]
    return {
        "description": None,
        "containerRegistry": None,
        "applicationInsights": None,
        "hbiWorkspace": False,
        "publicNetworkAccess": "Enabled",
        "imageBuildCompute": "",
        "v1LegacyMode": False,
        "softDeleteEnabled": False,
        "storageHnsEnabled": False,
        "enableDataIsolation": False,
        "systemDatastoresAuthMode": "accessKey",
        "managedNetwork": {"isolationMode": "Disabled"},
        **{name: value for name, value in resource.properties.items() if value is not None},
        "provisioningState": "Succeeded",
        "tenantId": services.tenant,
        "discoveryUrl": f"{services.base_url}/discovery/workspaces/{guid}",
        "mlFlowTrackingUri": f"{services.links_url}/mlflow/rest{resource.id}",
        "notebookInfo": {
            "resourceId": guid,
            "fqdn": services.base_url.split("://", 1)[1],
            "isPrivateLinkEnabled": False,
            "notebookPreparationError": None,
        },
    }


def remove(call: Call) -> None:
    """The workspace's runs go with it; its storage, vault and telemetry stay until asked for, as on Azure."""
    ownership.delete_workspace(call.connection, call.resource.id)


def list_keys(call: Call) -> Answer:
    account = call.resource.properties["storageAccount"]
    pair = storage_accounts.keys(call.connection, call.services.secrets, account)
    component = call.resource.properties.get("applicationInsights")
    insights = resources.get(call.connection, component) if component else None
    return Answer(
        200,
        {
            "userStorageKey": pair[0] if pair else None,
            "userStorageResourceId": account,
            "userStorageArmId": account,
            "appInsightsInstrumentationKey": insights.properties.get("InstrumentationKey") if insights else None,
            "containerRegistryCredentials": None,
            "notebookAccessKeys": None,
        },
    )


def diagnose(call: Call) -> Answer:
    """Check what the workspace stands on; an empty list means that nothing is wrong."""
    results: Json = {name: [] for name in _DIAGNOSED}
    for name, property_ in (
        ("storageAccountResults", "storageAccount"),
        ("keyVaultResults", "keyVault"),
        ("applicationInsightsResults", "applicationInsights"),
    ):
        id_ = call.resource.properties.get(property_)
        if id_ and resources.get(call.connection, id_) is None:
            message = f"The workspace stands on {id_}, which does not exist. Recreate it or make a new workspace."
            results[name].append({"code": "ResourceNotFound", "level": "Error", "message": message})
    return Answer(200, {"value": results})


_DIAGNOSED = (
    "userDefinedRouteResults", "networkSecurityRuleResults", "resourceLockResults", "dnsResolutionResults",
    "storageAccountResults", "keyVaultResults", "containerRegistryResults", "applicationInsightsResults", "otherResults",
)  # fmt: skip


def resync_keys(call: Call) -> Answer:
    """Keys are read where they are kept at every use, so there is nothing out of step."""
    return Answer(200)


def _identity(write: Write) -> Json:
    given = write.body.get("identity") or {}
    kind = str(given.get("type") or "SystemAssigned")
    principal_id = str(uuid.uuid5(uuid.NAMESPACE_URL, write.id.lower() + "/identity"))
    identity: Json = {**given, "type": kind, "tenantId": write.services.tenant}
    if re.search("system", kind, re.IGNORECASE):
        identity["principalId"] = principal_id
    return identity


def storage_account(reading: Reading, workspace_id: str) -> str:
    """The name of the account under a workspace's default datastores. Raises ApiError 404."""
    found = resources.get(reading.connection, workspace_id)
    if found is None:
        raise ApiError(404, "ResourceNotFound", f"There is no workspace '{arm_id.parse(workspace_id).name}'.")
    return str(found.properties["storageAccount"]).rsplit("/", 1)[1]


TYPE = ResourceType(
    collection="workspaces",
    operations="Workspaces",
    wire=wire.Workspace,
    shape=Shape.TRACKED,
    verbs=frozenset(Verb),
    created_status=200,
    prepare=prepare,
    view=view,
    remove=remove,
    name_rule=names.WORKSPACE,
    actions=(
        Action("listKeys", list_keys, "list_keys"),
        Action("diagnose", diagnose, "diagnose"),
        Action("resyncKeys", resync_keys, "resync_keys"),
    ),
)
