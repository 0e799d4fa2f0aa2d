"""Datastores: blob, ADLS Gen2, file, OneLake; their secrets are sealed, and only `listSecrets` gives them out."""

from __future__ import annotations

import datetime as dt
import hmac
from typing import Any

from sqlalchemy.engine import Connection

from lazulite.core import names, sas
from lazulite.core.clock import utc_now
from lazulite.core.errors import ApiError, conflict, nearest, validation
from lazulite.model import wire
from lazulite.resources import job_rights, storage_accounts
from lazulite.resources.declaration import Action, Answer, Call, Reading, ResourceType, Write
from lazulite.store import resources
from lazulite.store.resources import Json, Resource

BLOB, GEN2, FILE = "AzureBlob", "AzureDataLakeGen2", "AzureFile"
#: The property that names the container, by type.
CONTAINER = {BLOB: "containerName", GEN2: "filesystem", FILE: "fileShareName"}
_TYPES = (*CONTAINER, "AzureDataLakeGen1", "Hdfs", "OneLake")
_DEFAULTS = ("workspaceblobstore", "workspaceartifactstore", "workspacefilestore", "workspaceworkingdirectory")
_SUFFIX = "core.windows.net"


def prepare(write: Write) -> None:
    properties = write.properties
    kind = properties.get("datastoreType")
    if kind not in _TYPES:
        raise validation(f"datastoreType is '{kind}'.{nearest(str(kind), _TYPES)}", "properties.datastoreType")
    for name in ("accountName", CONTAINER.get(kind, "")):
        if kind in CONTAINER and not properties.get(name):
            raise validation(f"A datastore of type {kind} needs properties.{name}.", f"properties.{name}")
    _seal_credentials(write, kind)
    properties.setdefault("isDefault", False)
    if write.existing is not None:
        properties["isDefault"] = write.existing.properties.get("isDefault", False)
    properties.setdefault("endpoint", _SUFFIX)
    properties.setdefault("protocol", "https")
    properties.setdefault("tags", {})


def view(reading: Reading, resource: Resource) -> Json:
    """The properties without secrets, the account under the name by which it can be reached."""
    properties = dict(resource.properties)
    account = properties.get("accountName")
    if account and reading.services.storage.own_account(account):
        properties["accountName"] = reading.services.storage.public_account(account)
    return {"description": None, "properties": None, "serviceDataAccessAuthIdentity": "None", **properties}


def remove(call: Call) -> None:
    if call.resource.name.lower() in _DEFAULTS:
        raise conflict(
            f"'{call.resource.name}' is one of the workspace's own datastores and cannot be deleted.",
            "name",
            code="CannotDeleteDefaultDatastore",
        )


def list_secrets(call: Call) -> Answer:
    """A SAS for one hour (or as asked) where the account is ours, else what was sealed at registration."""
    properties = call.resource.properties
    account = call.services.storage.own_account(str(properties.get("accountName", "")))
    container = properties.get(CONTAINER.get(properties["datastoreType"], ""), "")
    if account is None:
        stored = call.services.secrets.get(call.connection, call.resource.id, "credentials")
        if not stored:
            raise ApiError(400, "NoSecrets", f"Datastore '{call.resource.name}' has no secrets: it uses identity.")
        return Answer(200, stored)
    hours = _hours(call.body.get("expireAfterHours", 1))
    key = account_key(call, account)
    if call.resource.name == "workspaceblobstore" and call.principal.job is None:
        # The SDK downloads code, which lies in containers of its own, with this datastore's secret.
        token = sas.account_sas(account, key, "b", "co", "racwdl", utc_now() + dt.timedelta(hours=hours))
    else:
        token = job_rights.container_sas(call, account, key, container, hours)
    return Answer(200, {"secretsType": "Sas", "sasToken": token})


def account_key(reading: Reading, account: str) -> str:
    """The first key of an account of ours. Raises ApiError 404."""
    pair = _keys(reading, account)
    if pair is None:
        raise ApiError(404, "StorageAccountNotFound", f"There is no storage account '{account}' on this server.")
    return pair[0]


def _keys(reading: Reading, account: str) -> tuple[str, str] | None:
    row = storage_accounts.named(reading.connection, account)
    return storage_accounts.keys(reading.connection, reading.services.secrets, row.id) if row else None


def provision_defaults(write: Write, guid: str) -> None:
    """The four datastores every workspace has."""
    account_id = write.properties["storageAccount"]
    account = account_id.rsplit("/", 1)[1]
    (blob, artifacts), (files, working) = storage_accounts.claim_containers(write, account_id, guid)
    for name, kind, container in (
        ("workspaceblobstore", BLOB, blob),
        ("workspaceartifactstore", BLOB, artifacts),
        ("workspacefilestore", FILE, files),
        ("workspaceworkingdirectory", FILE, working),
    ):
        properties: Json = {
            "datastoreType": kind,
            "isDefault": name == "workspaceblobstore",
            "accountName": account,
            CONTAINER[kind]: container,
            "endpoint": _SUFFIX,
            "protocol": "https",
            "credentials": {"credentialsType": "AccountKey"},
            "tags": {},
            "subscriptionId": account_id.split("/")[2],
            "resourceGroup": account_id.split("/")[4],
        }
        spec: Json = {"properties": properties}
        row = resources.new(f"{write.id}/datastores/{name}", TYPE.type, spec)
        resources.insert(write.connection, row, by=write.principal.name)


def default_places(connection: Connection, workspace_id: str) -> tuple[str, list[str], list[str]]:
    """The account under a workspace's default datastores, their containers and their file shares."""
    rows = [resources.get(connection, f"{workspace_id}/datastores/{name}") for name in _DEFAULTS]
    found = [row.properties for row in rows if row is not None]
    containers = [kept[CONTAINER[BLOB]] for kept in found if kept["datastoreType"] == BLOB]
    shares = [kept[CONTAINER[FILE]] for kept in found if kept["datastoreType"] == FILE]
    return (found[0]["accountName"] if found else ""), containers, shares


def _seal_credentials(write: Write, kind: str) -> None:
    properties = write.properties
    credentials = properties.get("credentials") or {"credentialsType": "None"}
    if not isinstance(credentials, dict):
        raise validation("credentials must be an object with credentialsType and secrets.", "properties.credentials")
    secrets: dict[str, Any] = credentials.pop("secrets", None) or {}
    properties["credentials"] = credentials
    own = write.services.storage.own_account(str(properties.get("accountName", "")))
    if own is not None:
        properties["accountName"] = own
        _check_key(write, own, secrets)
        container = str(properties[CONTAINER[kind]])
        shares = [container] if kind == FILE else []
        write.after.append(lambda: write.services.storage.ensure(own, [] if shares else [container], shares))
        return
    if properties.get("accountName"):
        storage_accounts.check_settled(write.connection, str(properties["accountName"]), "properties.accountName")
    if secrets:
        write.services.secrets.put(write.connection, write.id, "credentials", secrets)


def _check_key(write: Write, account: str, secrets: dict[str, Any]) -> None:
    # The SDK always sends skipValidation=true; it spares a look at another's account, and this one is at hand.
    given = secrets.get("key")
    if not given:
        target = "properties.accountName"
        storage_accounts.require_access(write.connection, write.workspace, account, "write", target, write.require)
        return
    if not any(hmac.compare_digest(str(given).encode(), key.encode()) for key in _keys(write, account) or ()):
        raise validation(
            f"The account key is not one of storage account '{account}'. "
            "`lazulite status --json` and `ml_client.workspaces.get_keys(...)` say where the keys are.",
            "properties.credentials.secrets.key",
        )


def _hours(value: object) -> float:
    if not isinstance(value, int | float) or not 0 < value <= 168:
        raise validation(f"expireAfterHours is {value!r} and must lie between 0 and 168.", "expireAfterHours")
    return float(value)


TYPE = ResourceType(
    collection="workspaces/datastores",
    operations="Datastores",
    wire=wire.Datastore,
    prepare=prepare,
    view=view,
    remove=remove,
    name_rule=names.DATASTORE,
    actions=(Action("listSecrets", list_secrets, "list_secrets"),),
)
