"""Registries beside their declarations: discovery, the address that the SDK uses, uploads, downloads and sharing."""

from __future__ import annotations

import re

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.api import crud, filters, lro
from lazulite.api.context import ApiContext
from lazulite.api.documents import document
from lazulite.api.imports import Imports
from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import bad_request, not_found
from lazulite.core.web import AUTHENTICATED, Handler, JsonResponse, Route, json_body
from lazulite.model import asset_reference
from lazulite.resources import registries, registry_assets, registry_storage
from lazulite.resources.declaration import Call
from lazulite.store import resources
from lazulite.store.resources import Json

#: Before the ARM path, in the addresses that the SDK makes of a registry's discovery.
LEAD = "/mferp/managementfrontend"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + PROVIDER
_REGISTRY = _GROUP + "/registries/{registry}"
_ASSET_ID = re.compile(
    r"^azureml://registries/[^/]+/(?P<collection>[^/]+)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)$"
)


def routes(context: ApiContext, imports: Imports) -> list[Route]:
    return [
        *(route for type_ in registry_assets.ALL for route in crud.routes(context, type_, LEAD)),
        *_discovery(context),
        *_files(context),
        *_import(context, imports),
    ]


def _discovery(context: ApiContext) -> list[Route]:
    async def discover(request: Request) -> Response:
        name = request.path_params["registry"]

        def look(connection: Connection) -> Json:
            found = registries.find(connection, name)
            if found is None:
                reading = context.reading(connection, request)
                raise registries.missing(name, registries.readable(reading))
            return _discovered(context, found)

        return JsonResponse(await context.database.read(look))

    async def of_subscription(request: Request) -> Response:
        scope = f"/subscriptions/{request.path_params['subscription']}"
        wanted = filters.wanted(request.query_params)

        def look(connection: Connection) -> list[Json]:
            reading = context.reading(connection, request)
            rows = resources.under(connection, scope, registries.TYPE.type)
            return [document(reading, registries.TYPE, row) for row in rows]

        found = await context.database.read(look)
        return JsonResponse({"value": [item for item in found if wanted(item)], "nextLink": None})

    listing = "/subscriptions/{subscription}/providers/" + PROVIDER + "/registries"
    return [
        Route(
            "GET",
            "/registrymanagement/v1.0/registries/{registry}/discovery",
            AUTHENTICATED,
            discover,
            "RegistryDiscovery.get",
        ),
        Route("GET", listing, f"{PROVIDER}/registries/read", of_subscription, "Registries.list_by_subscription"),
    ]


def _discovered(context: ApiContext, found: resources.Resource) -> Json:
    id_ = arm_id.parse(found.id)
    base = context.services.base_url
    regions = {str(found.spec["location"]), *map(str, found.properties["regionDetails"])}
    return {
        "registryName": found.name,
        "primaryRegion": found.spec["location"],
        "primaryRegionResourceProviderUri": f"{base}/",
        "subscriptionId": id_.subscription,
        "resourceGroup": id_.resource_group,
        "registryFqdns": {region: {"uri": base} for region in sorted(regions)},
    }


def _files(context: ApiContext) -> list[Route]:
    async def upload(request: Request) -> Response:
        body, registry = await json_body(request), _registry_id(request)
        collection, name, version = _asset(body, request)

        def begin(connection: Connection) -> tuple[Json, Call]:
            registries.require_id(connection, registry)
            reading = context.reading(connection, request)
            call = Call(connection, context.services, reading.principal)
            return registry_storage.pending_upload(call, registry, collection), call

        registry_assets.of_collection(collection).name_rule.check(name)
        registry_assets.of_collection(collection).name_rule.check(version, "version")
        reference, call = await context.database.read(begin)
        for task in call.after:
            await task()
        return JsonResponse(reference)

    def download(by_prefix: bool) -> Handler:
        async def handler(request: Request) -> Response:
            body, registry = await json_body(request), _registry_id(request)
            collection, name, version = _asset(body, request)

            def look(connection: Connection) -> Json:
                reading = context.reading(connection, request)
                row = f"{registry}/{collection}/{name}/versions/{version}"
                uri = _address(connection, row, collection)
                return registry_storage.download(reading, registry, uri, by_prefix=by_prefix)

            return JsonResponse(await context.database.read(look))

        return handler

    rights, tail = registries.ASSET_RIGHTS, "{name}/versions/{version}"
    result = []
    for lead in ("", LEAD):
        base = lead + _REGISTRY
        result += [
            Route("PUT", f"{base}/tempdatarefs/{tail}", f"{rights}/write", upload, "TemporaryDataReferences.get"),
            Route("POST", f"{base}/datarefs/{tail}", f"{rights}/read", download(True), "DataReferences.get"),
            Route(
                "POST",
                f"{base}/datareferences/{tail}",
                f"{rights}/read",
                download(False),
                "RegistryDataReferences.get_blob_reference_sas",
            ),
        ]
    return result


def _import(context: ApiContext, imports: Imports) -> list[Route]:
    async def begin(request: Request) -> Response:
        body = await json_body(request)
        row, operation = await imports.begin(_registry_id(request), body, request)
        return Response(b"", 202, lro.headers(context, row, operation, location_only=True))

    permission = f"{registries.ASSET_RIGHTS}/write"
    return [Route("POST", f"{lead}{_REGISTRY}/import", permission, begin, "Registries.import") for lead in ("", LEAD)]


def _registry_id(request: Request) -> str:
    names = request.path_params
    return arm_id.registry_id(names["subscription"], names["group"], names["registry"])


def _asset(body: Json, request: Request) -> tuple[str, str, str]:
    """Collection, name and version that `assetId` names. Raises ApiError 400 where the path says otherwise."""
    found = _ASSET_ID.match(str(body.get("assetId") or ""))
    if found is None:
        raise bad_request(
            "assetId must be azureml://registries/{registry}/{collection}/{name}/versions/{version}.", "assetId"
        )
    names = request.path_params
    if (found["name"], found["version"]) != (names["name"], names["version"]):
        raise bad_request(f"assetId names '{found['name']}' and the path '{names['name']}'.", "assetId")
    collection = found["collection"].lower()
    registry_assets.of_collection(collection)
    return collection, found["name"], found["version"]


def _address(connection: Connection, row: str, collection: str) -> str:
    """The address of a version's files. Raises ApiError 404."""
    found = resources.get(connection, row)
    if found is None:
        raise not_found(f"There is no '{asset_reference.spelled(row)}'.", "assetId")
    uri = found.properties.get(registry_storage.ADDRESS.get(collection, ""))
    build = found.properties.get("build")
    if collection == "environments" and isinstance(build, dict):
        uri = build.get("contextUri")
    if not isinstance(uri, str):
        raise not_found(f"'{asset_reference.spelled(row)}' has no files.", "assetId")
    return uri
