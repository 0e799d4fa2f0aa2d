"""The storage accounts, vaults and telemetry components that come with a workspace."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import uuid
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError
from lazulite.resources.declaration import Write
from lazulite.store import resources
from lazulite.store.resources import Json, Resource
from lazulite.store.tables import resources as table
from lazulite.vault.sealed import SealedSecrets

TYPE = "Microsoft.Storage/storageAccounts"
VAULT_TYPE = "Microsoft.KeyVault/vaults"
INSIGHTS_TYPE = "Microsoft.Insights/components"


_BLOBS = f"{TYPE}/blobServices/containers/blobs"


def provision(write: Write, workspace_guid: str) -> dict[str, str]:
    """Make the resources a new workspace stands on, where its request names none.

    Returns the workspace properties that point to them: storageAccount, keyVault, applicationInsights.
    """
    group = write.id.split("/providers/")[0]
    stem = re.sub(r"[^a-z0-9]", "", write.name.lower())
    suffix = hashlib.sha256(write.id.lower().encode()).hexdigest()[:8]
    given = write.properties
    ids = {
        "storageAccount": given.get("storageAccount") or f"{group}/providers/{TYPE}/{stem[:12]}{suffix}",
        "keyVault": given.get("keyVault") or f"{group}/providers/{VAULT_TYPE}/kv-{stem[:10]}-{suffix}",
        "applicationInsights": given.get("applicationInsights")
        or f"{group}/providers/{INSIGHTS_TYPE}/appi-{stem[:12]}-{suffix}",
    }
    _account(write, ids["storageAccount"])
    _plain(write, ids["keyVault"], VAULT_TYPE, {"tenantId": write.services.tenant, "sku": {"name": "standard"}})
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, ids["applicationInsights"].lower()))
    _plain(write, ids["applicationInsights"], INSIGHTS_TYPE, {"InstrumentationKey": key, "Application_Type": "web"})
    account = ids["storageAccount"].rsplit("/", 1)[1]
    blobs, shares = containers(workspace_guid)
    write.after.append(lambda: write.services.storage.ensure(account, blobs, shares))
    return ids


def provision_account(write: Write) -> str:
    """Make the storage account of a new registry, without containers. Returns its id."""
    group = write.id.split("/providers/")[0]
    stem = re.sub(r"[^a-z0-9]", "", write.name.lower())
    # A name that no account had before: the registry that had this one's name took its account away with it.
    id_ = f"{group}/providers/{TYPE}/{stem[:12]}{uuid.uuid4().hex[:8]}"
    _account(write, id_)
    return id_


def containers(workspace_guid: str) -> tuple[list[str], list[str]]:
    """The containers and file shares of a workspace's default datastores."""
    return [f"azureml-blobstore-{workspace_guid}", "azureml"], [
        f"azureml-filestore-{workspace_guid}",
        f"code-{workspace_guid}",
    ]


def keys(connection: Connection, secrets: SealedSecrets, account_id: str) -> tuple[str, str] | None:
    """Both keys of an account of ours, base64; None where the account is not ours."""
    found = secrets.get(connection, account_id, "keys")
    return (found["key1"], found["key2"]) if found else None


def all_accounts(connection: Connection) -> list[Resource]:
    ids = connection.scalars(sa.select(table.c.id).where(table.c.type == TYPE.lower()))
    return resources.get_many(connection, list(ids))


def scopes(connection: Connection, name: str) -> list[str]:
    """The ids whose rights decide about an account of ours: its own, and those of the workspaces that stand on it."""
    rows = [row for row in all_accounts(connection) if row.name.lower() == name.lower()]
    found = [row.id for row in rows]
    for row in rows:
        group = row.id.split("/providers/")[0]
        for workspace in resources.under(connection, group, f"{PROVIDER}/workspaces"):
            if arm_id.key(str(workspace.properties.get("storageAccount"))) == row.key:
                found.append(workspace.id)
    return found


def require_access(
    connection: Connection, home: str, name: str, verb: str, target: str, access: Callable[[str, str, str], None]
) -> None:
    """Ask for the right to `read` or `write` the blobs of an account of ours; that of `home` needs none.

    `access` is that of `references`. Raises ApiError 403.
    """
    row = resources.get(connection, home)
    if row is not None and str(row.properties.get("storageAccount")).rsplit("/", 1)[-1].lower() == name.lower():
        return
    refusal: ApiError | None = None
    for scope in scopes(connection, name):
        try:
            access(f"{_BLOBS}/{verb}", scope, target)
        except ApiError as error:
            refusal = refusal or error
        else:
            return
    if refusal is not None:
        raise refusal


def _account(write: Write, id_: str) -> None:
    if resources.get(write.connection, id_) is not None:
        return
    _plain(write, id_, TYPE, {"primaryLocation": write.services.location, "statusOfPrimary": "available"})
    pair = {f"key{n}": base64.b64encode(os.urandom(64)).decode() for n in (1, 2)}
    write.services.secrets.put(write.connection, id_, "keys", pair)


def _plain(write: Write, id_: str, type_: str, properties: Json) -> None:
    if resources.get(write.connection, id_) is not None:
        return
    arm_id.parse(id_)
    spec: Json = {
        "location": write.services.location,
        "kind": "StorageV2" if type_ == TYPE else "",
        "properties": {"provisioningState": "Succeeded", **properties},
    }
    resources.insert(write.connection, resources.new(id_, type_, spec), by=write.principal.name)
