"""Ids in a body that lead to resources beside the one that is written: of other groups, providers and types.

Here stands for every kind what an id must look like, and which right its target asks for. `find` is for what this server
keeps rows of, `check` for what it only writes down: identities, networks and machines that lie outside of it. Both look
at the form first, then ask for the right, and only then say whether anything is there. References to assets,
datastores and jobs are `references`' and `places`'; they ask for rights by the same `Reading.require`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lazulite.core import arm_id, names
from lazulite.core.arm_id import PROVIDER, ArmId
from lazulite.core.errors import ApiError, not_found, validation
from lazulite.core.names import NameRule
from lazulite.resources.declaration import Reading
from lazulite.store import resources
from lazulite.store.resources import Resource


@dataclass(frozen=True, slots=True)
class Kind:
    """What an id may lead to. `right` is what stands behind the type in the action that its target asks for."""

    noun: str
    types: tuple[str, ...]
    right: str
    rule: NameRule = names.RESOURCE


STORAGE_ACCOUNT = Kind(
    "storage account", ("Microsoft.Storage/storageAccounts",), "listKeys/action", names.STORAGE_ACCOUNT
)
KEY_VAULT = Kind("key vault", ("Microsoft.KeyVault/vaults",), "write", names.KEY_VAULT)
INSIGHTS = Kind("Application Insights component", ("Microsoft.Insights/components",), "write", names.INSIGHTS)
CONTAINER_REGISTRY = Kind(
    "container registry", ("Microsoft.ContainerRegistry/registries",), "write", names.CONTAINER_REGISTRY
)
WORKSPACE = Kind("workspace", (f"{PROVIDER}/workspaces",), "write", names.WORKSPACE)
HUB = Kind("hub", (f"{PROVIDER}/workspaces",), "hubs/join/action", names.WORKSPACE)
RESOURCE_GROUP = Kind("resource group", ("Microsoft.Resources/resourceGroups",), "read")
IDENTITY = Kind("managed identity", ("Microsoft.ManagedIdentity/userAssignedIdentities",), "assign/action")
SUBNET = Kind("subnet", ("Microsoft.Network/virtualNetworks/subnets",), "join/action")
NETWORK = Kind("virtual network", ("Microsoft.Network/virtualNetworks",), "join/action")

_SUBSCRIPTION = re.compile(r"[A-Za-z0-9-]{1,64}")
_GROUP = re.compile(r"[\w().-]{0,89}[\w()-]")


def find(reading: Reading, id_: object, kind: Kind, target: str) -> Resource:
    """The resource that an id names. Raises ApiError 400, 403 or 404 naming the id and `target`, the field it stands in."""
    wanted = check(reading, id_, kind, target)
    found = resources.get(reading.connection, wanted)
    if found is None or found.type not in {type_.lower() for type_ in kind.types}:
        raise not_found(f"The {kind.noun} '{wanted}' does not exist on this server.", target)
    return found


def check(reading: Reading, id_: object, kind: Kind, target: str) -> str:
    """The id, once it is of the kind and the caller has the right to what it names. Raises ApiError 400 or 403."""
    parsed = _parse(id_, kind, target)
    wanted = str(parsed)
    type_ = "Microsoft.Resources/subscriptions/resourceGroups" if kind is RESOURCE_GROUP else parsed.type
    reading.require(f"{type_}/{kind.right}", wanted, target)
    return wanted


def _parse(id_: object, kind: Kind, target: str) -> ArmId:
    try:
        found = arm_id.parse(id_ if isinstance(id_, str) else "")
    except ValueError:
        raise _refused(id_, kind, target) from None
    if kind is RESOURCE_GROUP:
        right = found.resource_group is not None and found.provider is None and not found.types
    else:
        right = found.provider is not None and found.type.lower() in {type_.lower() for type_ in kind.types}
    if not right or not _SUBSCRIPTION.fullmatch(found.subscription) or not _GROUP.fullmatch(found.resource_group or ""):
        raise _refused(id_, kind, target)
    for name in found.names:
        kind.rule.check(name, target)
    return found


def _refused(id_: object, kind: Kind, target: str) -> ApiError:
    if kind is RESOURCE_GROUP:
        form = "/subscriptions/<id>/resourceGroups/<group>"
    else:
        provider, _, path = kind.types[0].partition("/")
        below = "".join(f"/{part}/<name>" for part in path.split("/"))
        form = f"/subscriptions/<id>/resourceGroups/<group>/providers/{provider}{below}"
    others = f" Types allowed: {', '.join(kind.types)}." if len(kind.types) > 1 else ""
    return validation(f"{id_!r} is not the id of a {kind.noun}, such as {form}.{others}", target)
