"""The options of a workspace: each is understood and given back, or refused by name.

Options that are kept have an effect here, or none by their nature: a laptop has no regions, networks or telemetry that
they could speak of. What promises something that cannot be had (a managed network, keys of the customer's own) is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lazulite.core import arm_id
from lazulite.core.errors import ApiError, conflict, nearest, validation
from lazulite.resources import linked
from lazulite.resources.declaration import Write
from lazulite.resources.linked import Kind
from lazulite.store.resources import Json

#: What the server says of a workspace and nobody else.
READ_ONLY = (
    "workspaceId", "provisioningState", "tenantId", "discoveryUrl", "mlFlowTrackingUri", "notebookInfo",
    "storageHnsEnabled", "privateLinkCount", "privateEndpointConnections", "serviceProvisionedResourceGroup",
)  # fmt: skip
#: Given a write, the value sent and its field: the value to keep. Raises ApiError.
Reader = Callable[[Write, Any, str], Any]


@dataclass(frozen=True, slots=True)
class Option:
    """`fixed` options cannot change once the workspace is made; `default` is what one that was left out means."""

    read: Reader
    fixed: bool = False
    default: Any = None


def read(write: Write) -> None:
    """Look at every property that was sent, and leave what is kept. Raises ApiError 400, 403, 404, 409 or 501."""
    properties, before = write.properties, write.existing.properties if write.existing else {}
    for name in [name for name in properties if name in READ_ONLY]:
        del properties[name]
    for name, value in list(properties.items()):
        option = OPTIONS.get(name)
        if option is None:
            raise validation(
                f"'{name}' is not a property of a workspace.{nearest(name, OPTIONS)}", f"properties.{name}"
            )
        if value is None or value == before.get(name):
            continue
        properties[name] = option.read(write, value, f"properties.{name}")
        if write.existing is not None and option.fixed:
            _check_fixed(write, name, properties[name], before.get(name, option.default))
    for name, option in OPTIONS.items():
        if option.fixed and name in before:
            properties[name] = before[name]


def _check_fixed(write: Write, name: str, value: Any, before: Any) -> None:
    if arm_id.key(str(value)) != arm_id.key(str(before)):
        raise conflict(
            f"{name} of the workspace '{write.name}' is '{before}' and cannot change once the workspace is made.",
            f"properties.{name}",
        )


def _text(_write: Write, value: Any, target: str) -> str:
    if not isinstance(value, str):
        raise validation(f"{value!r} must be a text.", target)
    return value


def _flag(_write: Write, value: Any, target: str) -> bool:
    found = {"true": True, "false": False}.get(str(value).lower())  # templates send texts
    if found is None:
        raise validation(f"{value!r} must be true or false.", target)
    return found


def _one_of(*words: str) -> Reader:
    def reader(_write: Write, value: Any, target: str) -> str:
        # The SDK sends some values with the name of its own enumeration: PublicNetworkAccessType.ENABLED.
        said = str(value).rsplit(".", 1)[-1].replace("_", "").lower()
        for word in words:
            if said == word.lower():
                return word
        raise validation(f"{value!r} is not valid here. Allowed: {', '.join(words)}.", target)

    return reader


def _found(kind: Kind) -> Reader:
    """The id of a resource of this server, in its own spelling; an empty text names none."""
    return lambda write, value, target: linked.find(write, value, kind, target).id if value else None


def _identity_id(write: Write, value: Any, target: str) -> str | None:
    return linked.check(write, value, linked.IDENTITY, target) if value else None


def _hub(write: Write, value: Any, target: str) -> str | None:
    if not value:
        return None
    found = linked.find(write, value, linked.HUB, target)
    if str(found.spec.get("kind")).lower() != "hub":
        raise validation(f"The workspace '{found.name}' is not a hub.", target)
    return found.id


def _unavailable(what: str, *nothing: Any) -> Reader:
    """Refuses every value but those that ask for nothing, which are not kept."""

    def reader(_write: Write, value: Any, target: str) -> None:
        if value and value not in nothing and str(value).lower() != "false":
            raise _cannot(what, target)

    return reader


def _cannot(what: str, target: str) -> ApiError:
    name = target.rsplit(".", 1)[-1]
    return ApiError(501, "NotImplemented", f"Workspaces have no {what} here. Leave {name} out.", target=target)


def _managed_network(_write: Write, value: Any, target: str) -> None:
    given = _object(value, target)
    mode = given.get("isolationMode") or "Disabled"
    if str(mode).lower() != "disabled" or given.get("outboundRules"):
        raise _cannot(f"managed network (isolationMode '{mode}')", target)


def _encryption(_write: Write, value: Any, target: str) -> None:
    given = _object(value, target)
    said = [item for name, item in given.items() if name != "status"]
    said += list(_object(given.get("keyVaultProperties") or {}, f"{target}.keyVaultProperties").values())
    if str(given.get("status") or "Disabled").lower() != "disabled" or any(
        item for item in said if not isinstance(item, dict)
    ):
        raise _cannot("encryption with keys of the customer's own", target)


def _network_acls(_write: Write, value: Any, target: str) -> Json:
    given = _object(value, target)
    if str(given.get("defaultAction") or "Allow").lower() != "allow" or given.get("ipRules"):
        raise _cannot("rules of who may reach them", target)
    return given


def _serverless(write: Write, value: Any, target: str) -> Json | None:
    given = _known(value, target, "serverlessComputeCustomSubnet", "serverlessComputeNoPublicIP")
    if subnet := given.get("serverlessComputeCustomSubnet"):
        given["serverlessComputeCustomSubnet"] = linked.check(
            write, subnet, linked.SUBNET, f"{target}.serverlessComputeCustomSubnet"
        )
    return given or None


def _hub_config(write: Write, value: Any, target: str) -> Json | None:
    given = _known(value, target, "additionalWorkspaceStorageAccounts", "defaultWorkspaceResourceGroup")
    accounts, group = "additionalWorkspaceStorageAccounts", "defaultWorkspaceResourceGroup"
    if accounts in given:
        field = f"{target}.{accounts}"
        if not isinstance(given[accounts], list):
            raise validation(f"{given[accounts]!r} must be a list.", field)
        given[accounts] = [linked.find(write, id_, linked.STORAGE_ACCOUNT, field).id for id_ in given[accounts]]
    if group in given:
        given[group] = linked.find(write, given[group], linked.RESOURCE_GROUP, f"{target}.{group}").id
    return given or None


def _feature_store(_write: Write, value: Any, target: str) -> Json | None:
    given = _known(value, target, "computeRuntime", "offlineStoreConnectionName", "onlineStoreConnectionName")
    for name in ("offlineStoreConnectionName", "onlineStoreConnectionName"):
        if given.get(name):
            raise _cannot("store to materialize features in", f"{target}.{name}")
    return given or None


def _known(value: Any, target: str, *names: str) -> Json:
    """An object of these fields, without those that say nothing."""
    given = _object(value, target)
    for name in given:
        if name not in names:
            raise validation(f"'{name}' is not valid here. Allowed: {', '.join(names)}.", f"{target}.{name}")
    return {name: item for name, item in given.items() if item not in (None, "", [], {})}


def _object(value: Any, target: str) -> Json:
    if not isinstance(value, dict):
        raise validation(f"{value!r} must be an object.", target)
    return dict(value)


OPTIONS: dict[str, Option] = {
    "friendlyName": Option(_text),
    "description": Option(_text),
    "storageAccount": Option(_found(linked.STORAGE_ACCOUNT), fixed=True),
    "keyVault": Option(_found(linked.KEY_VAULT), fixed=True),
    "applicationInsights": Option(_found(linked.INSIGHTS)),
    "containerRegistry": Option(_found(linked.CONTAINER_REGISTRY)),
    "hubResourceId": Option(_hub, fixed=True),
    "hbiWorkspace": Option(_flag, fixed=True, default=False),
    "enableDataIsolation": Option(_flag, fixed=True, default=False),
    "imageBuildCompute": Option(_text),
    "publicNetworkAccess": Option(_one_of("Enabled", "Disabled")),
    "systemDatastoresAuthMode": Option(_one_of("accessKey", "identity", "userDelegationSAS")),
    "primaryUserAssignedIdentity": Option(_identity_id),
    "allowRoleAssignmentOnRG": Option(_flag),
    "allowPublicAccessWhenBehindVnet": Option(_flag),
    "v1LegacyMode": Option(_flag),
    "serverlessComputeSettings": Option(_serverless),
    "workspaceHubConfig": Option(_hub_config),
    "featureStoreSettings": Option(_feature_store),
    "networkAcls": Option(_network_acls),
    "managedNetwork": Option(_managed_network),
    "encryption": Option(_encryption),
    "provisionNetworkNow": Option(_unavailable("managed network")),
    "enableServiceSideCMKEncryption": Option(_unavailable("encryption with keys of the customer's own")),
    "softDeleteEnabled": Option(_unavailable("soft deletion")),
    "softDeleteRetentionInDays": Option(_unavailable("soft deletion")),
    "allowRecoverSoftDeletedWorkspace": Option(_unavailable("soft deletion")),
    "existingWorkspaces": Option(_unavailable("conversion into a hub")),
    "associatedWorkspaces": Option(_unavailable("associated workspaces")),
    "storageAccounts": Option(_unavailable("further storage accounts")),
    "keyVaults": Option(_unavailable("further key vaults")),
    "containerRegistries": Option(_unavailable("further container registries")),
    "ipAllowlist": Option(_unavailable("rules of who may reach them")),
    "sharedPrivateLinkResources": Option(_unavailable("private links")),
    "serviceManagedResourcesSettings": Option(_unavailable("settings of managed resources")),
}
