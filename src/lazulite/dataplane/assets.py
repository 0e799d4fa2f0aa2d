"""Where assets lie: the addresses behind asset ids, and datastores in the form that the data clients read."""

from __future__ import annotations

import re

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, bad_request, not_found
from lazulite.core.web import WORKSPACE, JsonResponse, Route, json_body, principal, workspace_id
from lazulite.dataplane.history import DataplaneContext
from lazulite.model import job_status
from lazulite.resources import datastores, job_rights, references
from lazulite.resources.declaration import Reading
from lazulite.store import resources
from lazulite.store.resources import Json, Resource

_OUTPUT = re.compile(r"/data/azureml_(?P<run>.+)_output_data_(?P<output>[^/]+)/versions/", re.IGNORECASE)
_ASSET = re.compile(r"/(?P<kind>data|models)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)$", re.IGNORECASE)
_SECRET_HOURS = 12
_PROPERTY = {"data": "dataUri", "models": "modelUri"}
_READ = f"{PROVIDER}/workspaces/data/versions/read"


def routes(context: DataplaneContext) -> list[Route]:
    async def resolve(request: Request) -> Response:
        body = await json_body(request)
        values = body.get("values")
        if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            raise bad_request("values must be a list of asset ids.", "values")
        workspace, caller = workspace_id(request), principal(request)

        def look(connection: Connection) -> Json:
            reading = Reading(connection, context.services, caller)
            found = {v: resolved(reading, workspace, v) for v in values}
            return {k: v for k, v in found.items() if v is not None}

        return JsonResponse({"values": await context.database.read(look)})

    async def data_version(request: Request) -> Response:
        workspace, names = workspace_id(request), request.path_params

        def look(connection: Connection) -> Json:
            return _v1_data_version(connection, workspace, names["name"], names["version"])

        return JsonResponse(await context.database.read(look))

    async def datastore(request: Request) -> Response:
        workspace = workspace_id(request)
        name = request.path_params.get("name", "workspaceblobstore")
        reading_principal = principal(request)

        def look(connection: Connection) -> Json:
            reading = Reading(connection, context.services, reading_principal)
            return _v1_datastore(reading, workspace, name)

        return JsonResponse(await context.database.read(look))

    stores = f"{PROVIDER}/workspaces/datastores/listSecrets/action"
    return [
        Route("POST", f"/data/v1.0{WORKSPACE}/dataversion/batchGetResolvedUris", _READ, resolve, "Data.resolve"),
        Route(
            "GET",
            f"/data/v1.0{WORKSPACE}/dataversion/{{name}}/versions/{{version}}",
            _READ,
            data_version,
            "Data.get_version",
        ),
        Route(
            "POST",
            f"/modelregistry/v1.0{WORKSPACE}/models/batchGetResolvedUris",
            _READ,
            resolve,
            "ModelRegistry.resolve",
        ),
        Route("GET", f"/datastore/v1.0{WORKSPACE}/datastores/{{name}}", stores, datastore, "DatastoresV1.get"),
        Route("GET", f"/datastore/v1.0{WORKSPACE}/default", stores, datastore, "DatastoresV1.get_default"),
    ]


def resolved(reading: Reading, workspace: str, asset: str) -> Json | None:
    """The address of what an asset id names, in the workspace or elsewhere; None where there is no such asset.

    Raises ApiError 403 where it lies in another workspace or registry and the caller may not read that.
    """
    connection = reading.connection
    if found := _ASSET.search(asset):
        kind = found["kind"].lower()
        row = _row(reading, workspace, asset, kind)
        if row is not None:
            type_ = row.properties.get("dataType") or row.properties.get("modelType")
            return _resolved(arm_id.asset_home(row.id), str(row.properties[_PROPERTY[kind]]), type_)
    if found := _OUTPUT.search(asset):
        job = resources.get(connection, f"{workspace}/jobs/{found['run']}")
        output = job_status.read(job.status).outputs.get(found["output"]) if job else None
        if output:
            return _resolved(workspace, output.uri, output.type)
    return None


def _row(reading: Reading, workspace: str, asset: str, kind: str) -> Resource | None:
    look = references.model if kind == "models" else references.data
    try:
        return look(reading.connection, workspace, asset, access=reading.require)
    except ApiError as error:
        if error.status == 403:
            raise
        return None


def _resolved(workspace: str, uri: str, type_: str | None) -> Json:
    """Clients read a data asset's address as `uri`, and a model's as `path`."""
    address = _long(workspace, uri)
    return {"uri": address, "path": address, "type": type_}


def _long(workspace: str, uri: str) -> str:
    """The long form that stands by itself; the SDK cuts the workspace out of it."""
    if not uri.startswith("azureml://datastores/"):
        return uri
    id_ = arm_id.parse(workspace)
    scope = f"subscriptions/{id_.subscription}/resourcegroups/{id_.resource_group}/workspaces/{id_.workspace}"
    return f"azureml://{scope}/{uri.removeprefix('azureml://')}"


def _v1_data_version(connection: Connection, workspace: str, name: str, version: str) -> Json:
    """A data asset as mltable reads it."""
    row = resources.get(connection, f"{workspace}/data/{name}/versions/{version}")
    if row is None:
        raise not_found(f"Could not find version {version} of the data asset '{name}'.", "name", code="UserError")
    properties = row.properties
    return {
        "dataVersion": {
            "assetId": row.id,
            "dataContainerName": name,
            "dataType": "MLTable" if properties["dataType"] == "mltable" else properties["dataType"],
            "dataUri": _long(workspace, str(properties["dataUri"])),
            "versionId": version,
            "mutableProps": {
                "description": properties.get("description"),
                "tags": properties.get("tags") or {},
                "isArchived": bool(properties.get("isArchived")),
            },
            "referencedDataUris": properties.get("referencedUris"),
            "properties": properties.get("properties") or {},
        },
        # Assets of the first API generation hold a dataflow in place of an address; there are none here.
        "isV2": True,
        "legacyDataflow": None,
    }


def _v1_datastore(reading: Reading, workspace: str, name: str) -> Json:
    row = resources.get(reading.connection, f"{workspace}/datastores/{name}")
    if row is None:
        raise not_found(f"Could not find datastore '{name}'.", "name", code="UserError")
    shown = datastores.view(reading, row)
    account = reading.services.storage.own_account(str(row.properties.get("accountName", "")))
    container = shown.get(datastores.CONTAINER.get(shown["datastoreType"], ""))
    token = None
    if account is not None:
        key = datastores.account_key(reading, account)
        token = job_rights.container_sas(reading, account, key, str(container), _SECRET_HOURS)
    section: Json = {
        "accountName": shown.get("accountName"),
        "containerName": container,
        "endpoint": shown.get("endpoint"),
        "protocol": shown.get("protocol"),
        "credentialType": "Sas" if token else "None",
        "credential": token,
        "sasToken": token,
        "isSas": token is not None,
        "accountKey": None,
        "blobCacheTimeout": None,
        "clientCredentials": None,
        "areWorkspaceManagedIdentitiesAllowed": False,
        "serviceDataAccessAuthIdentity": "None",
        "subscriptionId": shown.get("subscriptionId"),
        "resourceGroup": shown.get("resourceGroup"),
    }
    kinds = {"AzureBlob": "AzureBlob", "AzureFile": "AzureFile", "AzureDataLakeGen2": "AzureDataLakeGen2"}
    sections: Json = dict.fromkeys(
        ("azureDataLakeSection", "azurePostgreSqlSection", "azureSqlDatabaseSection", "glusterFsSection",
         "azureMySqlSection", "customSection")
    )  # fmt: skip
    return {
        "name": row.name,
        "dataStoreType": kinds.get(shown["datastoreType"], "Custom"),
        "hasBeenValidated": True,
        "tags": {},
        "azureStorageSection": section,
        **sections,
    }
