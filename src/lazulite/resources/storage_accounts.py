"""The storage accounts, vaults and telemetry components that workspaces and registries stand on.

An account is known by its ARM id; its name is unique on the server, since addresses of blobs have nothing else.
"""

from __future__ import annotations

import base64
import os
import re
import uuid
from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, conflict
from lazulite.resources import linked
from lazulite.resources.declaration import Call, Reading, Write
from lazulite.resources.linked import Kind
from lazulite.store import erasures, resources
from lazulite.store.resources import Json, Resource
from lazulite.store.tables import resources as table
from lazulite.vault.sealed import SealedSecrets

TYPE = linked.STORAGE_ACCOUNT.types[0]
VAULT_TYPE = linked.KEY_VAULT.types[0]
INSIGHTS_TYPE = linked.INSIGHTS.types[0]
#: By the property of a workspace, what it stands on.
DEPENDENTS = {
    "storageAccount": linked.STORAGE_ACCOUNT,
    "keyVault": linked.KEY_VAULT,
    "applicationInsights": linked.INSIGHTS,
}
#: What is told when a name is taken, by type; the names of the others are their group's own.
_TAKEN = {TYPE: "StorageAccountAlreadyTaken", VAULT_TYPE: "VaultAlreadyExists"}
_BLOBS = f"{TYPE}/blobServices/containers/blobs"
#: In an account's document: the workspace whose runs lie in the container `azureml`.
_ARTIFACTS_OF = "artifactsOf"


def provision(write: Write, property_: str) -> str:
    """Make what a new workspace is to stand on by that property, in the workspace's own group. Returns its id."""
    kind = DEPENDENTS[property_]
    group = write.id.split("/providers/")[0]
    id_ = f"{group}/providers/{kind.types[0]}/{_new_name(kind, write.name)}"
    return make(write, id_, kind, f"properties.{property_}")


def make(reading: Reading, id_: str, kind: Kind, target: str) -> str:
    """Make what a workspace or registry stands on, at an id of the caller's own group. Raises ApiError 400 or 409."""
    name, type_ = id_.rsplit("/", 1)[1], kind.types[0]
    kind.rule.check(name, target)
    if type_ in _TAKEN and named(reading.connection, name, type_) is not None:
        raise conflict(
            f"The name '{name}' is taken by another {kind.noun} of this server. Choose another name.",
            target,
            code=_TAKEN[type_],
        )
    if type_ == TYPE and erasures.pending_account(reading.connection, name):
        raise conflict(
            f"The files of an account '{name}' that was deleted are still being erased. Try again in a moment.",
            target,
            code=_TAKEN[TYPE],
        )
    if type_ == TYPE and _spoken_of(reading.connection, name):
        raise conflict(
            f"A workspace, datastore, asset or job of this server names a storage account '{name}' that is not this one, "
            "and would reach into it. Choose another name.",
            target,
            code=_TAKEN[TYPE],
        )
    services = reading.services
    spec: Json = {
        "location": services.location,
        "kind": "StorageV2" if type_ == TYPE else "",
        "properties": {"provisioningState": "Succeeded", **_properties(reading, id_, type_)},
    }
    resources.insert(reading.connection, resources.new(id_, type_, spec), by=reading.principal.name)
    if type_ == TYPE:
        pair = {f"key{n}": base64.b64encode(os.urandom(64)).decode() for n in (1, 2)}
        services.secrets.put(reading.connection, id_, "keys", pair)
    return id_


def _spoken_of(connection: Connection, name: str) -> bool:
    """Whether a document was written that means an account of that name: nobody was asked for a right to this one."""
    place = re.compile(
        rf'(?:"accountName":\s*"|/storage/v1/|/storageAccounts/){re.escape(name)}[/"?]'
        rf"|(?://|@){re.escape(name)}\.(?:blob|dfs|file)\.",
        re.IGNORECASE,
    )
    documents = resources.mentioning(connection, [f"{PROVIDER}/"], name)
    return any(place.search(text) for _, text in documents)


def check_settled(connection: Connection, account_name: str, target: str) -> None:
    """Refuse the name of an account that a write before this one made, and that is not known yet. Raises ApiError 409."""
    name = account_name.rstrip("/").removesuffix("/_").rsplit("/", 1)[-1]
    if named(connection, name) is not None:
        raise conflict(f"The storage account '{name}' is being made. Try again in a moment.", target)


def provision_account(write: Write) -> str:
    """Make the storage account of a new registry, without containers. Returns its id."""
    group = write.id.split("/providers/")[0]
    kind = linked.STORAGE_ACCOUNT
    return make(write, f"{group}/providers/{TYPE}/{_new_name(kind, write.name)}", kind, "properties.storageAccount")


def _new_name(kind: Kind, owner: str) -> str:
    """A name that nothing had before: what an earlier owner of that name left behind is not the new one's."""
    stem, suffix = re.sub(r"[^a-z0-9]", "", owner.lower())[:12], uuid.uuid4().hex[:8]
    lead = {linked.KEY_VAULT: "kv", linked.INSIGHTS: "appi"}.get(kind)
    return f"{stem}{suffix}" if lead is None else "-".join(filter(None, (lead, stem, suffix)))


def _properties(reading: Reading, id_: str, type_: str) -> Json:
    if type_ == TYPE:
        return {"primaryLocation": reading.services.location, "statusOfPrimary": "available"}
    if type_ == VAULT_TYPE:
        return {"tenantId": reading.services.tenant, "sku": {"name": "standard"}}
    return {"InstrumentationKey": str(uuid.uuid5(uuid.NAMESPACE_URL, id_.lower())), "Application_Type": "web"}


def claim_containers(write: Write, account_id: str, guid: str) -> tuple[list[str], list[str]]:
    """The containers and file shares of a new workspace's default datastores; they are made once the write is durable.

    The first workspace on an account has its runs' artifacts in `azureml`, as on Azure, later ones in one of their own.
    """
    account = resources.get(write.connection, account_id)
    assert account is not None
    artifacts = "azureml"
    if _ARTIFACTS_OF in account.spec or _standing_on(write.connection, account):
        artifacts = f"azureml-{guid}"
    else:
        resources.update(write.connection, account.with_(spec={**account.spec, _ARTIFACTS_OF: guid}))
    blobs = [f"azureml-blobstore-{guid}", artifacts]
    shares = [f"azureml-filestore-{guid}", f"code-{guid}"]
    write.after.append(lambda: write.services.storage.ensure(account.name, blobs, shares))
    return blobs, shares


def remove(call: Call, id_: str) -> None:
    """Remove an account with its keys, files and roles, inside the transaction that removes what stands on it."""
    access = call.services.access
    if access.forget(call.connection, id_):
        call.after.insert(0, access.refresh)
    erase(call.connection, id_, call.resource.id)
    resources.delete(call.connection, id_)
    call.services.secrets.delete(call.connection, id_)


def view(account: Resource) -> Json:
    """The document of an account, vault or component as clients are told it."""
    shown = {name: value for name, value in account.spec.items() if name != _ARTIFACTS_OF}
    return {**shown, "id": account.id, "name": account.name, "type": account.type}


def erase(connection: Connection, scope: str, deleted: str | None = None) -> None:
    """Have the files of the accounts at `scope` and below it erased: to be called before their rows are removed.

    `deleted` is what they are deleted with, where that is not `scope` itself.
    """
    if f"/providers/{PROVIDER}/".lower() in arm_id.key(scope):
        return  # no account lies in a workspace or registry
    for row in all_accounts(connection):
        at_or_below = f"{row.key}/".startswith(f"{arm_id.key(scope)}/")
        if at_or_below and ((first := named(connection, row.name)) is None or first.key == row.key):
            erasures.note(connection, deleted or scope, row.name)


def keys(connection: Connection, secrets: SealedSecrets, account_id: str) -> tuple[str, str] | None:
    """Both keys of an account of ours, base64; None where the account is not ours."""
    found = secrets.get(connection, account_id, "keys")
    return (found["key1"], found["key2"]) if found else None


def all_accounts(connection: Connection) -> list[Resource]:
    """Oldest first."""
    return resources.under(connection, "/subscriptions", TYPE)


def named(connection: Connection, name: str, type_: str = TYPE) -> Resource | None:
    """The account (or vault) of that name in any case, wherever it lies."""
    query = sa.select(table.c.id).where(table.c.type == type_.lower(), sa.func.lower(table.c.name) == name.lower())
    first = connection.scalars(query.order_by(table.c.sequence)).first()
    return resources.get(connection, first) if first else None


def scopes(connection: Connection, name: str) -> list[str]:
    """The ids whose rights decide about an account of ours: its own, and those of the workspaces that stand on it."""
    row = named(connection, name)
    return [row.id, *_standing_on(connection, row)] if row is not None else []


def _standing_on(connection: Connection, account: Resource) -> list[str]:
    workspaces = resources.under(connection, "/subscriptions", f"{PROVIDER}/workspaces")
    return [row.id for row in workspaces if arm_id.key(str(row.properties.get("storageAccount"))) == account.key]


def require_access(
    connection: Connection, home: str, name: str, verb: str, target: str, access: Callable[[str, str, str], None]
) -> None:
    """Ask for the right to `read` or `write` the blobs of an account of ours; that of `home` needs none.

    `access` is that of `references`. Raises ApiError 403.
    """
    row, account = resources.get(connection, home), named(connection, name)
    if row is not None and account is not None and arm_id.key(str(row.properties.get("storageAccount"))) == account.key:
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
