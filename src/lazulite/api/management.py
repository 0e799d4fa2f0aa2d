"""The parts of Azure Resource Manager around workspaces: subscriptions, groups, deployments, dependent resources."""

from __future__ import annotations

import uuid

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response

from lazulite.api import filters, lro, write
from lazulite.api.context import ApiContext
from lazulite.api.crud import path_id
from lazulite.api.documents import document, system_data
from lazulite.core.arm_id import PROVIDER
from lazulite.core.clock import now_iso
from lazulite.core.errors import ApiError, bad_request, conflict, not_found, not_implemented
from lazulite.core.web import AUTHENTICATED, JsonResponse, Route, json_body, principal
from lazulite.model import wire
from lazulite.resources import registries, storage_accounts, workspace_template, workspaces
from lazulite.resources.declaration import Call
from lazulite.store import resources
from lazulite.store.resources import Json, Resource

SUBSCRIPTION_TYPE = "Microsoft.Resources/subscriptions"
GROUP_TYPE = "Microsoft.Resources/resourceGroups"
DEPLOYMENT_TYPE = "Microsoft.Resources/deployments"
_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{group}"
_DEPLOYMENT = _GROUP + "/providers/Microsoft.Resources/deployments/{deployment}"


def routes(context: ApiContext) -> list[Route]:
    management = _Management(context)
    group = "Microsoft.Resources/subscriptions/resourceGroups"
    deploy = "Microsoft.Resources/deployments"
    dependents = [
        Route(method, _GROUP + f"/providers/{type_}/{{name}}{tail}", f"{type_}/{right}", handler, f"{type_}.{verb}")
        for type_ in (storage_accounts.TYPE, storage_accounts.VAULT_TYPE, storage_accounts.INSIGHTS_TYPE)
        for method, tail, right, handler, verb in (
            ("GET", "", "read", management.get_dependent, "get"),
            ("DELETE", "", "delete", management.delete_dependent, "delete"),
        )
    ]
    return [
        Route("GET", "/subscriptions", AUTHENTICATED, management.list_subscriptions, "Subscriptions.list"),
        Route("GET", _SUBSCRIPTION, AUTHENTICATED, management.get_subscription, "Subscriptions.get"),
        Route("GET", _SUBSCRIPTION + "/resourceGroups", AUTHENTICATED, management.list_groups, "ResourceGroups.list"),
        Route("GET", _GROUP, f"{group}/read", management.get_group, "ResourceGroups.get"),
        Route("PUT", _GROUP, f"{group}/write", management.put_group, "ResourceGroups.create_or_update"),
        Route("DELETE", _GROUP, f"{group}/delete", management.delete_group, "ResourceGroups.delete"),
        Route("PUT", _DEPLOYMENT, f"{deploy}/write", management.deploy, "Deployments.create_or_update"),
        Route("GET", _DEPLOYMENT, f"{deploy}/read", management.get_deployment, "Deployments.get"),
        # The SDK asks for the operations without the provider segment.
        Route(
            "GET",
            _GROUP + "/deployments/{deployment}/operations",
            f"{deploy}/operations/read",
            management.deployment_operations,
            "DeploymentOperations.list",
        ),
        Route(
            "GET",
            f"{_SUBSCRIPTION}/providers/{PROVIDER}/workspaces",
            f"{PROVIDER}/workspaces/read",
            management.list_workspaces,
            "Workspaces.list_by_subscription",
        ),
        Route(
            "POST",
            _GROUP + f"/providers/{storage_accounts.TYPE}/{{name}}/listKeys",
            f"{storage_accounts.TYPE}/listKeys/action",
            management.storage_keys,
            "StorageAccounts.list_keys",
        ),
        *dependents,
    ]


class _Management:
    def __init__(self, context: ApiContext) -> None:
        self._context = context

    async def list_subscriptions(self, request: Request) -> Response:
        """Those in which the caller has any right."""
        rows = await self._context.database.read(lambda c: resources.children(c, "", SUBSCRIPTION_TYPE))
        return JsonResponse({"value": [self._subscription(row) for row in rows if self._sees(request, row.id)]})

    async def get_subscription(self, request: Request) -> Response:
        if not self._sees(request, path_id(request)):
            raise ApiError(
                404,
                "SubscriptionNotFound",
                f"The subscription '{request.path_params['subscription']}' does not exist, or you have no role in it.",
                target="subscriptionId",
            )
        return JsonResponse(self._subscription(await self._require(path_id(request))))

    def _sees(self, request: Request, scope: str) -> bool:
        return self._context.directory.sees(principal(request), scope)

    async def list_groups(self, request: Request) -> Response:
        """Those in which the caller has any right."""
        parent = f"/subscriptions/{request.path_params['subscription']}"
        rows = await self._context.database.read(lambda c: resources.children(c, parent, GROUP_TYPE))
        return JsonResponse({"value": [_group(row) for row in rows if self._sees(request, row.id)], "nextLink": None})

    async def get_group(self, request: Request) -> Response:
        return JsonResponse(_group(await self._require(path_id(request))))

    async def put_group(self, request: Request) -> Response:
        body = await json_body(request)
        if not isinstance(body.get("location"), str):
            raise bad_request("A resource group needs a location, such as 'westeurope'.", "location")
        id_ = path_id(request)
        by = principal(request).name

        def transaction(connection: Connection) -> tuple[Resource, bool]:
            _ensure_subscription(connection, id_, by)
            existing = _existing_group(connection, id_)
            if existing is None:
                return resources.insert(connection, resources.new(id_, GROUP_TYPE, body), by=by), True
            return resources.update(connection, existing.with_(spec=body), by=by), False

        stored, created = await self._context.database.write(transaction)
        return JsonResponse(_group(stored), 201 if created else 200)

    async def delete_group(self, request: Request) -> Response:
        """Everything in the group goes, as on Azure; the operation is over when its files are erased."""
        id_ = path_id(request)
        after: write.After = [self._context.directory.refresh]  # first: roles go with what they were held at

        def transaction(connection: Connection) -> str | None:
            if _existing_group(connection, id_) is None:
                return None
            reading = self._context.reading(connection, request)
            for type_ in (workspaces.TYPE, registries.TYPE):
                for row in resources.under(connection, id_, type_.type):
                    call = Call(connection, reading.services, reading.principal, reading.query, row)
                    if type_.remove:
                        type_.remove(call)
                    after.extend(call.after)
            write.erase(self._context, connection, id_, after)
            return lro.start_deletion(connection, id_, reading.principal)

        operation = await self._context.database.write(transaction)
        for task in after:
            await task()
        if operation is None:
            return Response(b"", 204)
        return Response(b"", 202, lro.headers(self._context, id_, operation, location_only=True))

    async def deploy(self, request: Request) -> Response:
        """Create the workspace that the SDK's template describes; done when the answer is."""
        body = await json_body(request)
        wire.check(body, None)
        group = path_id(request).split("/providers/")[0]
        wanted = workspace_template.read(_parameters(body.get("properties") or {}), group)
        id_ = f"{group}/providers/{PROVIDER}/workspaces/{wanted.name}"
        deployment = f"{group}/providers/{DEPLOYMENT_TYPE}/{request.path_params['deployment']}"
        by = principal(request).name

        def first(connection: Connection) -> None:
            reading = self._context.reading(connection, request)
            reading.require(f"{PROVIDER}/workspaces/write", id_, "properties.parameters.workspaceName")
            ensure_group(connection, group, wanted.document.get("location"), by)
            for property_, new in wanted.new.items():
                if resources.get(connection, new) is None:
                    kind, target = storage_accounts.DEPENDENTS[property_], f"properties.parameters.{property_}Name"
                    storage_accounts.make(reading, new, kind, target)
                wanted.document["properties"][property_] = new

        spec: Json = {"properties": {"workspace": id_, "timestamp": now_iso(), "correlationId": str(uuid.uuid4())}}

        def store(connection: Connection) -> None:
            resources.delete(connection, deployment)
            resources.insert(connection, resources.new(deployment, DEPLOYMENT_TYPE, spec), by=by)

        origin = write.Origin.of(request)
        written = await write.put(self._context, workspaces.TYPE, id_, wanted.document, origin, store, first=first)
        return JsonResponse(_deployment(await self._require(deployment)), 201 if written.created else 200)

    async def get_deployment(self, request: Request) -> Response:
        return JsonResponse(_deployment(await self._require(path_id(request))))

    async def deployment_operations(self, request: Request) -> Response:
        group, name = path_id(request).split("/deployments/")
        found = await self._require(f"{group}/providers/{DEPLOYMENT_TYPE}/{name.split('/')[0]}")
        target = found.properties["workspace"]
        operation: Json = {
            "id": f"{found.id}/operations/1",
            "operationId": "1",
            "properties": {
                "provisioningOperation": "Create",
                "provisioningState": "Succeeded",
                "timestamp": found.properties["timestamp"],
                "duration": "PT0S",
                "statusCode": "OK",
                "targetResource": {
                    "id": target,
                    "resourceType": f"{PROVIDER}/workspaces",
                    "resourceName": target.rsplit("/", 1)[1],
                },
            },
        }
        return JsonResponse({"value": [operation]})

    async def list_workspaces(self, request: Request) -> Response:
        scope = f"/subscriptions/{request.path_params['subscription']}"

        def transaction(connection: Connection) -> list[Json]:
            reading = self._context.reading(connection, request)
            rows = resources.under(connection, scope, workspaces.TYPE.type)
            found = [document(reading, workspaces.TYPE, row) for row in rows]
            return [item for item in found if filters.wanted(reading.query)(item)]

        return JsonResponse({"value": await self._context.database.read(transaction), "nextLink": None})

    async def get_dependent(self, request: Request) -> Response:
        found = await self._require(path_id(request))
        return JsonResponse(storage_accounts.view(found))

    async def delete_dependent(self, request: Request) -> Response:
        id_ = path_id(request)
        after: write.After = []
        found = await self._context.database.write(lambda c: write.erase(self._context, c, id_, after))
        for task in after:
            await task()
        return Response(b"", 200 if found else 204)

    async def storage_keys(self, request: Request) -> Response:
        account = path_id(request).rsplit("/", 1)[0]
        secrets = self._context.services.secrets
        pair = await self._context.database.read(lambda c: storage_accounts.keys(c, secrets, account))
        if pair is None:
            raise not_found(f"There is no storage account '{account.rsplit('/', 1)[1]}' on this server.", "name")
        keys = [{"keyName": f"key{n}", "value": value, "permissions": "FULL"} for n, value in enumerate(pair, 1)]
        return JsonResponse({"keys": keys})

    async def _require(self, id_: str) -> Resource:
        found = await self._context.database.read(lambda c: resources.get(c, id_))
        if found is None:
            kind, name = id_.rsplit("/", 2)[1:]
            raise not_found(f"There is nothing called '{name}' among the {kind} at '{id_}'.", name)
        return found

    def _subscription(self, row: Resource) -> Json:
        return {
            "id": row.id,
            "subscriptionId": row.name,
            "tenantId": self._context.services.tenant,
            "displayName": row.spec.get("displayName", "Lazulite"),
            "state": "Enabled",
            "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "quotaId": "", "spendingLimit": "Off"},
        }


def _parameters(properties: Json) -> Json:
    """The values of a deployment's parameters. Raises ApiError 400 or 501 for what is not one of the SDK's."""
    for name in ("templateLink", "parametersLink"):
        if properties.get(name):
            raise not_implemented(f"A deployment's {name}")
    mode = properties.get("mode") or "Incremental"
    if str(mode).lower() != "incremental":
        raise bad_request(f"'{mode}' is not a valid mode here. Allowed: Incremental.", "properties.mode")
    sent = properties.get("parameters") or {}
    if not isinstance(sent, dict):
        raise bad_request("parameters must be an object.", "properties.parameters")
    values = {k: v.get("value") if isinstance(v, dict) else v for k, v in sent.items()}
    if values.get("workspace_name"):
        raise not_implemented("A deployment of role assignments for a feature store")
    workspace_template.check(properties.get("template"))
    return values


def _existing_group(connection: Connection, id_: str) -> Resource | None:
    """Raises ApiError 409 where something else than a group stands at the id."""
    found = resources.get(connection, id_)
    if found is not None and found.type != GROUP_TYPE.lower():
        raise conflict(f"'{id_}' is a {found.type} and not a resource group.", "resourceGroupName")
    return found


def ensure_group(connection: Connection, group: str, location: str | None, by: str) -> None:
    """The resource group of an id, made where it is missing, as a laptop's user expects."""
    _ensure_subscription(connection, group, by)
    if resources.get(connection, group) is None:
        spec: Json = {"location": location or "local", "tags": {}}
        resources.insert(connection, resources.new(group, GROUP_TYPE, spec), by=by)


def _ensure_subscription(connection: Connection, id_: str, by: str) -> None:
    subscription = "/".join(id_.split("/")[:3])
    if resources.get(connection, subscription) is None:
        spec: Json = {"displayName": "Lazulite"}
        resources.insert(connection, resources.new(subscription, SUBSCRIPTION_TYPE, spec), by=by)


def _group(row: Resource) -> Json:
    return {
        "id": row.id,
        "name": row.name,
        "type": GROUP_TYPE,
        "location": row.spec.get("location"),
        "tags": row.spec.get("tags") or {},
        "properties": {"provisioningState": "Succeeded"},
        "systemData": system_data(row),
    }


def _deployment(row: Resource) -> Json:
    return {
        "id": row.id,
        "name": row.name,
        "type": DEPLOYMENT_TYPE,
        "properties": {
            "provisioningState": "Succeeded",
            "mode": "Incremental",
            "duration": "PT0S",
            "timestamp": row.properties["timestamp"],
            "correlationId": row.properties["correlationId"],
            "outputs": {},
        },
    }
