"""The deployment templates by which azure-ai-ml makes workspaces, read by their parameters.

Every parameter of the SDK's templates stands in one of the tables here; a test holds them to the installed SDK.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lazulite.core import arm_id
from lazulite.core.errors import ApiError, nearest, validation
from lazulite.core.numbers import is_digit
from lazulite.resources import linked, storage_accounts
from lazulite.resources.linked import Kind
from lazulite.store.resources import Json

#: By parameter, the property of the workspace that it sets; `workspace_options` decides about the values.
PROPERTIES = {
    "friendlyName": "friendlyName",
    "description": "description",
    "imageBuildCompute": "imageBuildCompute",
    "publicNetworkAccess": "publicNetworkAccess",
    "primaryUserAssignedIdentity": "primaryUserAssignedIdentity",
    "systemDatastoresAuthMode": "systemDatastoresAuthMode",
    "allowRoleAssignmentOnRG": "allowRoleAssignmentOnRG",
    "confidential_data": "hbiWorkspace",
    "enable_data_isolation": "enableDataIsolation",
    "workspace_hub": "hubResourceId",
    "workspace_hub_config": "workspaceHubConfig",
    "existing_workspaces": "existingWorkspaces",
    "serverless_compute_settings": "serverlessComputeSettings",
    "managedNetwork": "managedNetwork",
    "provisionNetworkNow": "provisionNetworkNow",
    "soft_delete_enabled": "softDeleteEnabled",
    "allow_recover_softdeleted_workspace": "allowRecoverSoftDeletedWorkspace",
    "storage_accounts": "storageAccounts",
    "key_vaults": "keyVaults",
    "container_registies": "containerRegistries",
}
#: By parameter, the path below the workspace's properties.
INNER = {
    "encryption_status": ("encryption", "status"),
    "cmk_keyvault": ("encryption", "keyVaultProperties", "keyVaultArmId"),
    "resource_cmk_uri": ("encryption", "keyVaultProperties", "keyIdentifier"),
    "encryption_cosmosdb_resourceid": ("encryption", "cosmosDbArmId"),
    "encryption_storage_resourceid": ("encryption", "storageAccountArmId"),
    "encryption_search_resourceid": ("encryption", "searchAccountArmId"),
    "spark_runtime_version": ("featureStoreSettings", "computeRuntime", "sparkRuntimeVersion"),
}
#: What the workspace stands on: `<property>Option`, `...Name`, `...ResourceGroupName`, `...SubscriptionId`.
DEPENDENTS = {**storage_accounts.DEPENDENTS, "containerRegistry": linked.CONTAINER_REGISTRY}
_PARTS = ("Option", "Name", "ResourceGroupName")
#: Understood by `read` itself.
READ = frozenset(
    {"workspaceName", "kind", "location", "resourceGroupName", "tagValues", "identity", "storageAccountSubscriptionId"}
    | {f"{name}{part}" for name in DEPENDENTS for part in _PARTS}
)
#: Parameters with the values that ask for nothing that cannot be had here; everything else is refused by name.
ONLY: dict[str, tuple[Any, ...]] = {
    "storageAccountType": ("Standard_LRS",),
    "storageAccountBehindVNet": ("false",),
    "keyVaultBehindVNet": ("false",),
    "containerRegistryBehindVNet": ("false",),
    "privateEndpointType": ("none",),
    "vnetOption": ("none", "existing"),
    "subnetOption": ("none", "existing"),
    "adbWorkspace": (),
    # The SDK asks for a new one with every feature store; features are not materialized here.
    "offlineStoreStorageAccountOption": ("none", "new"),
    "materializationIdentityOption": ("none", "new"),
    "online_store_resource_id": (),
    "endpoint_resource_id": ("null",),
    "endpoint_kind": ("AIServices",),
    "endpoint_option": ("new",),
}
#: As `ONLY`, where the value that asks for nothing is the workspace's own location.
LOCATIONS = (
    "storageAccountLocation", "keyVaultLocation", "applicationInsightsLocation", "containerRegistryLocation",
)  # fmt: skip
#: Names and details of what is made only by options that are refused, or has no effect by its nature.
IDLE = frozenset({
    "associatedResourcePNA", "logAnalyticsName", "logAnalyticsArmId", "containerRegistrySku", "vnetName",
    "vnetResourceGroupName", "addressPrefixes", "subnetName", "subnetPrefix", "privateEndpointName",
    "privateEndpointResourceGroupName", "offline_store_storage_account_name", "offline_store_container_name",
    "offline_store_resource_group_name", "offline_store_subscription_id", "offline_store_connection_name",
    "online_store_resource_group_name", "online_store_subscription_id", "online_store_connection_name",
    "materialization_identity_name", "materialization_identity_subscription_id",
    "materialization_identity_resource_group_name", "grant_materialization_permissions",
})  # fmt: skip
PARAMETERS = frozenset({*PROPERTIES, *INNER, *READ, *ONLY, *LOCATIONS, *IDLE})
#: The types of resources that the SDK's templates speak of.
RESOURCES = frozenset(
    type_.lower()
    for type_ in (
        linked.WORKSPACE.types[0], storage_accounts.TYPE, storage_accounts.VAULT_TYPE, storage_accounts.INSIGHTS_TYPE,
        f"{storage_accounts.TYPE}/blobServices/containers", "Microsoft.OperationalInsights/workspaces",
        "Microsoft.Network/virtualNetworks", "Microsoft.Network/virtualNetworks/subnets",
        "Microsoft.ManagedIdentity/userAssignedIdentities", "Microsoft.Resources/deployments",
    )
)  # fmt: skip


@dataclass(slots=True)
class Described:
    """A workspace by name and document; `new` are the ids of what is to be made along with it, by property."""

    name: str
    document: Json
    new: dict[str, str] = field(default_factory=dict)


def check(template: object) -> None:
    """Refuse a template that asks for more than the SDK's do. Raises ApiError 400."""
    if template is None:
        return
    if not isinstance(template, dict):
        raise _invalid("The template must be an object.", "properties.template")
    parameters, made_by_it = template.get("parameters") or {}, template.get("resources") or []
    if not isinstance(parameters, dict):
        raise _invalid("parameters must be an object.", "properties.template.parameters")
    if not isinstance(made_by_it, list):
        raise _invalid("resources must be a list.", "properties.template.resources")
    for name in parameters:
        _check_known(name)
    for made in made_by_it:
        type_ = str(made.get("type")) if isinstance(made, dict) else ""
        if type_.lower() not in RESOURCES:
            raise _invalid(
                f"Deployments make workspaces as azure-ai-ml describes them, and nothing of the type '{type_}'.",
                "properties.template.resources",
            )


def read(parameters: Json, group: str) -> Described:
    """The workspace that the parameters of a deployment into a group (an ARM id) describe.

    `parameters` are values already taken out. Raises ApiError 400 or 501 naming the parameter.
    """
    name = parameters.get("workspaceName")
    if not isinstance(name, str) or not name:
        raise _invalid(
            "Deployments are understood as far as azure-ai-ml sends them for a workspace; this one has no parameter "
            "'workspaceName'.",
            _target("workspaceName"),
        )
    if "/" in name:
        raise _invalid(f"'{name}' is not a valid name of a workspace: a name has no slash.", _target("workspaceName"))
    for given in parameters:
        _check_known(given)
    _check_nothing_else(parameters)
    own = arm_id.parse(group).resource_group or ""
    _check_own(parameters, "resourceGroupName", own)
    properties = _properties(parameters)
    document: Json = {"kind": parameters.get("kind") or "Default", "properties": properties}
    document["tags"] = parameters.get("tagValues") or {}
    for known in ("location", "identity"):
        if parameters.get(known):
            document[known] = parameters[known]
    described = Described(name, document)
    for property_, kind in DEPENDENTS.items():
        _dependent(parameters, group, property_, kind, described)
    return described


def _properties(parameters: Json) -> Json:
    found: Json = {}
    for source, target in PROPERTIES.items():
        if _says(parameters.get(source)):
            found[target] = parameters[source]
    for source, path in INNER.items():
        if _says(parameters.get(source)):
            holder = found
            for part in path[:-1]:
                holder = holder.setdefault(part, {})
            holder[path[-1]] = parameters[source]
    return found


def _dependent(parameters: Json, group: str, property_: str, kind: Kind, described: Described) -> None:
    """One that is there is named in the workspace's properties, a new one is made in the deployment's own group."""
    option, name = str(parameters.get(f"{property_}Option") or "new").lower(), parameters.get(f"{property_}Name")
    own = arm_id.parse(group)
    if option == "none":
        described.document["properties"][property_] = ""
    elif option == "existing":
        subscription = parameters.get(f"{property_}SubscriptionId") or own.subscription
        where = parameters.get(f"{property_}ResourceGroupName") or own.resource_group
        described.document["properties"][property_] = (
            f"/subscriptions/{subscription}/resourceGroups/{where}/providers/{kind.types[0]}/{name}"
        )
    elif option != "new" or kind is linked.CONTAINER_REGISTRY:
        if option == "new" and not parameters.get(f"{property_}Option"):
            return
        target = _target(f"{property_}Option")
        raise validation(f"'{option}' is not valid for {property_}Option. Allowed: new, existing, none.", target)
    elif name:
        _check_own(parameters, f"{property_}ResourceGroupName", own.resource_group or "")
        _check_own(parameters, f"{property_}SubscriptionId", own.subscription)
        # The SDK proposes names that no vault can have where the workspace's begins with a digit.
        if kind is not linked.KEY_VAULT or not is_digit(str(name)[0]):
            kind.rule.check(str(name), _target(f"{property_}Name"))
            described.new[property_] = f"{group}/providers/{kind.types[0]}/{name}"


def _check_own(parameters: Json, name: str, own: str) -> None:
    given = parameters.get(name)
    if given and str(given).lower() != own.lower():
        raise _invalid(
            f"{name} is '{given}', and a deployment makes what is new in its own place, '{own}'.", _target(name)
        )


def _check_nothing_else(parameters: Json) -> None:
    location = (parameters.get("location"),)
    for name, allowed in {**ONLY, **dict.fromkeys(LOCATIONS, location)}.items():
        value = parameters.get(name)
        if _says(value) and str(value).lower() not in [str(word).lower() for word in allowed]:
            rule = f"Allowed: {', '.join(map(str, allowed))}." if allowed else "Leave it out."
            raise ApiError(501, "NotImplemented", f"{name} cannot be '{value}' here. {rule}", target=_target(name))


def _check_known(name: str) -> None:
    if name not in PARAMETERS:
        raise _invalid(
            f"'{name}' is not a parameter of azure-ai-ml's template for a workspace.{nearest(name, PARAMETERS)}",
            _target(name),
        )


def _says(value: Any) -> bool:
    return value not in (None, "", [], {})


def _target(parameter: str) -> str:
    return f"properties.parameters.{parameter}"


def _invalid(message: str, target: str) -> ApiError:
    return ApiError(400, "InvalidTemplate", message, target=target)
