"""Registries: assets that workspaces share. A registry has storage of its own and a name of its own on the server."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from lazulite.core import arm_id, names
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, conflict, nearest, not_found, validation
from lazulite.model import wire
from lazulite.resources import storage_accounts
from lazulite.resources.declaration import Call, Reading, ResourceType, Shape, Verb, Write
from lazulite.store import resources
from lazulite.store.resources import Json, Resource

#: The registry that every server has. It lies where only roles over the whole server reach.
PLATFORM_SUBSCRIPTION = "00000000-0000-0000-0000-0000000000ff"
PLATFORM_GROUP = "rg-lazulite-platform"
AZUREML = "azureml"
AZUREML_ID = arm_id.registry_id(PLATFORM_SUBSCRIPTION, PLATFORM_GROUP, AZUREML)
#: What stands before the right in the permissions of all that a registry holds, as in Azure's own roles.
ASSET_RIGHTS = f"{PROVIDER}/registries/assets"


def find(connection: Connection, name: str) -> Resource | None:
    """The registry of that name (any case), wherever it lies."""
    found = resources.labelled(connection, "/subscriptions", TYPE.type, name.lower())
    return found[0] if found else None


def require_id(connection: Connection, id_: str) -> Resource:
    """The registry at an ARM id. Raises ApiError 404."""
    found = resources.get(connection, id_)
    if found is None:
        raise missing(arm_id.parse(id_).name, [])
    return found


def readable(reading: Reading) -> list[str]:
    """The names of the registries that the caller may read."""
    allows = reading.services.access.allows
    rows = resources.under(reading.connection, "/subscriptions", TYPE.type)
    return [row.name for row in rows if allows(reading.principal, f"{PROVIDER}/registries/read", row.id)]


def missing(name: str, known: list[str], *, target: str = "registryName") -> ApiError:
    return not_found(
        f"There is no registry '{name}' on this server.{nearest(name, known)} "
        "`ml_client.registries.begin_create(Registry(name=..., location=..., replication_locations=[...]))` makes one.",
        target,
        code="RegistryNotFound",
    )


def prepare(write: Write) -> None:
    """A new registry gets storage of its own in the same transaction."""
    elsewhere = find(write.connection, write.name)
    if elsewhere is not None and elsewhere.key != arm_id.key(write.id):
        raise conflict(
            f"The name '{write.name}' is taken by another registry of this server; their names are unique on a server. "
            "Choose another name.",
            "name",
            code="RegistryNameNotAvailable",
        )
    write.body.setdefault("location", write.services.location)
    write.body["tags"] = write.body.get("tags") or {}
    write.body.setdefault("identity", {"type": "SystemAssigned", "tenantId": write.services.tenant})
    properties = write.properties
    properties["regionDetails"] = _regions(write)
    properties.setdefault("publicNetworkAccess", "Enabled")
    write.label, write.state = write.name.lower(), "Succeeded"
    if write.existing is not None:
        properties["storageAccount"] = write.existing.properties["storageAccount"]
        return
    properties["storageAccount"] = storage_accounts.provision_account(write)


def view(reading: Reading, resource: Resource) -> Json:
    services, properties = reading.services, resource.properties
    account = str(properties["storageAccount"])
    storage = {
        "systemCreatedStorageAccount": {
            "storageAccountName": account.rsplit("/", 1)[1],
            "storageAccountType": "Standard_LRS",
            "storageAccountHnsEnabled": False,
            "allowBlobPublicAccess": False,
            "armResourceId": {"resourceId": account},
        }
    }
    shown = {name: value for name, value in properties.items() if value is not None and name != "storageAccount"}
    return {
        **shown,
        "provisioningState": "Succeeded",
        "regionDetails": [
            {"location": region, "acrDetails": [], "storageAccountDetails": [storage]}
            for region in properties["regionDetails"]
        ],
        "managedResourceGroup": {"resourceId": resource.id.split("/providers/")[0]},
        "discoveryUrl": f"{services.base_url}/registrymanagement/v1.0/registries/{resource.name}/discovery",
        "mlFlowRegistryUri": f"{services.base_url}/mlflow/rest{resource.id}",
    }


def remove(call: Call) -> None:
    """A registry goes with all that it holds, its storage too."""
    if call.resource.key == arm_id.key(AZUREML_ID):
        raise conflict(f"The registry '{AZUREML}' belongs to the server and cannot be deleted.", "name")
    storage_accounts.remove(call, str(call.resource.properties["storageAccount"]))


def _regions(write: Write) -> list[str]:
    """The names of its regions: all of them are this machine."""
    given = write.properties.get("regionDetails")
    if given is None and write.existing is not None:
        return list(write.existing.properties["regionDetails"])
    if given is None:
        return [str(write.body["location"])]
    if not isinstance(given, list) or not given:
        raise validation("A registry needs at least one region.", "properties.regionDetails")
    return [_region(number, detail) for number, detail in enumerate(given)]


def _region(number: int, detail: object) -> str:
    target = f"properties.regionDetails[{number}]"
    if isinstance(detail, str):
        return detail  # a PATCH brings back what is stored
    if not isinstance(detail, dict) or not isinstance(detail.get("location"), str):
        raise validation("A region needs a location.", f"{target}.location")
    _check_system_created(detail, "storageAccountDetails", "userCreatedStorageAccount", "storage account", target)
    _check_system_created(detail, "acrDetails", "userCreatedAcrAccount", "container registry", target)
    return str(detail["location"])


def _check_system_created(detail: Json, name: str, own: str, noun: str, target: str) -> None:
    given = detail.get(name) or []
    if not isinstance(given, list):
        raise validation(f"{name} must be a list.", f"{target}.{name}")
    if any(isinstance(one, dict) and one.get(own) for one in given):
        raise validation(
            f"A registry's {noun} is made with the registry here; leave it out, or ask for a system-created one.",
            f"{target}.{name}",
        )


TYPE = ResourceType(
    collection="registries",
    operations="Registries",
    wire=wire.Registry,
    shape=Shape.TRACKED,
    verbs=frozenset(Verb),
    prepare=prepare,
    view=view,
    remove=remove,
    name_rule=names.REGISTRY,
)
