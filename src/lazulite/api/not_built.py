"""Operations of Azure ML's REST API that are not built: they exist, and say so with 501."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import not_implemented
from lazulite.core.web import AUTHENTICATED, WORKSPACE, Route

_READ, _WRITE, _DELETE = "read", "write", "delete"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + PROVIDER
_VERBS = (("GET", _READ, "get"), ("PUT", _WRITE, "create_or_update"), ("DELETE", _DELETE, "delete"))
_PATCH = ("PATCH", _WRITE, "update")

#: Collections of a workspace with the ordinary verbs: path, operation group, whether PATCH exists, actions.
_CHILDREN: tuple[tuple[str, str, bool, tuple[tuple[str, str], ...]], ...] = (
    ("batchEndpoints", "BatchEndpoints", True, (("listkeys", "list_keys"), ("jobs", "invoke"))),
    ("batchEndpoints/{name}/deployments", "BatchDeployments", True, ()),
    (
        "onlineEndpoints",
        "OnlineEndpoints",
        True,
        (("listKeys", "list_keys"), ("regenerateKeys", "regenerate_keys"), ("token", "get_token")),
    ),
    ("onlineEndpoints/{name}/deployments", "OnlineDeployments", True, (("getLogs", "get_logs"),)),
    ("schedules", "Schedules", False, (("trigger", "trigger"),)),
    ("connections", "WorkspaceConnections", True, (("listsecrets", "list_secrets"),)),
    (
        "serverlessEndpoints",
        "ServerlessEndpoints",
        True,
        (("listKeys", "list_keys"), ("regenerateKeys", "regenerate_keys")),
    ),
    ("marketplaceSubscriptions", "MarketplaceSubscriptions", False, ()),
    ("capabilityHosts", "CapabilityHosts", False, ()),
    ("outboundRules", "ManagedNetworkSettingsRule", False, ()),
    ("privateEndpointConnections", "PrivateEndpointConnections", False, ()),
    ("featuresets", "FeaturesetContainers", False, ()),
    ("featuresets/{name}/versions", "FeaturesetVersions", False, (("backfill", "backfill"),)),
    ("featurestoreEntities", "FeaturestoreEntityContainers", False, ()),
    ("featurestoreEntities/{name}/versions", "FeaturestoreEntityVersions", False, ()),
)
_ACTIONS = (
    ("GET", WORKSPACE + "/features", "WorkspaceFeatures.list"),
    ("GET", WORKSPACE + "/privateLinkResources", "PrivateLinkResources.list"),
    (
        "GET",
        WORKSPACE + "/outboundNetworkDependenciesEndpoints",
        "Workspaces.list_outbound_network_dependencies_endpoints",
    ),
    ("POST", WORKSPACE + "/provisionManagedNetwork", "ManagedNetworkProvisions.provision_managed_network"),
    ("POST", WORKSPACE + "/prepareNotebook", "Workspaces.prepare_notebook"),
    ("POST", WORKSPACE + "/listNotebookKeys", "Workspaces.list_notebook_keys"),
    ("POST", WORKSPACE + "/listNotebookAccessToken", "Workspaces.list_notebook_access_token"),
    ("POST", WORKSPACE + "/listStorageAccountKeys", "Workspaces.list_storage_account_keys"),
    ("POST", WORKSPACE + "/models/{name}/versions/{version}/package", "ModelVersions.package"),
    ("GET", WORKSPACE + "/onlineEndpoints/{name}/deployments/{item}/skus", "OnlineDeployments.list_skus"),
    ("GET", WORKSPACE + "/featuresets/{name}/versions/{item}/features", "Features.list"),
    ("GET", WORKSPACE + "/featuresets/{name}/versions/{item}/features/{feature}", "Features.get"),
)
_BATCH = f"/mferp/managementfrontend{WORKSPACE}/batchEndpoints/{{name}}"
_INDEXES = f"/genericasset{WORKSPACE}/indexes"
#: What the SDK asks for beside the control plane: method, path, permission, operation.
_DATA_PLANE = (
    ("GET", f"{_BATCH}/jobs", f"{PROVIDER}/workspaces/batchEndpoints/read", "BatchEndpoints.list_jobs"),
    (
        "GET",
        f"{_BATCH}/deployments/{{item}}/jobs",
        f"{PROVIDER}/workspaces/batchEndpoints/deployments/read",
        "BatchDeployments.list_jobs",
    ),
    ("GET", _INDEXES, f"{PROVIDER}/workspaces/indexes/read", "Indexes.list"),
    ("GET", f"{_INDEXES}/{{name}}/versions", f"{PROVIDER}/workspaces/indexes/read", "Indexes.list_versions"),
    ("GET", f"{_INDEXES}/{{name}}/versions/{{version}}", f"{PROVIDER}/workspaces/indexes/read", "Indexes.get"),
    (
        "PUT",
        f"{_INDEXES}/{{name}}/versions/{{version}}",
        f"{PROVIDER}/workspaces/indexes/write",
        "Indexes.create_or_update",
    ),
)
_ASSETS = ("codes", "components", "data", "environments", "models")
#: Where a group calls a verb otherwise than the rest.
_OTHER_NAMES = {
    "WorkspaceConnections.create_or_update": "WorkspaceConnections.create",
    "FeaturesetContainers.get": "FeaturesetContainers.get_entity",
    "FeaturestoreEntityContainers.get": "FeaturestoreEntityContainers.get_entity",
}


def routes() -> list[Route]:
    """A route for each, with the permission it will have, answering 501 that names the operation."""
    result: list[Route] = []
    for collection, group, patched, actions in _CHILDREN:
        path = f"{WORKSPACE}/{collection}"
        permission = f"{PROVIDER}/workspaces/{collection.replace('/{name}', '')}"
        item = "{item}" if "{name}" in collection else "{name}"
        result.append(_route("GET", path, f"{permission}/{_READ}", f"{group}.list"))
        for method, right, verb in (*_VERBS, *((_PATCH,) if patched else ())):
            result.append(_route(method, f"{path}/{item}", f"{permission}/{right}", f"{group}.{verb}"))
        for action, verb in actions:
            result.append(_route("POST", f"{path}/{item}/{action}", f"{permission}/{action}/action", f"{group}.{verb}"))
    for method, path, operation in _ACTIONS:
        name = path.rsplit("/", 1)[1].strip("{}")
        right = _READ if method == "GET" else "action"
        result.append(_route(method, path, f"{PROVIDER}/workspaces/{name}/{right}", operation))
    result += [_route(*operation) for operation in _DATA_PLANE]
    for asset in _ASSETS:
        path = f"{WORKSPACE}/{asset}/{{name}}/versions/{{version}}/publish"
        permission = f"{PROVIDER}/workspaces/{asset}/versions/publish/action"
        result.append(_route("POST", path, permission, f"{_group(asset)}Versions.publish"))
    result.append(_route("GET", f"/providers/{PROVIDER}/operations", AUTHENTICATED, "Operations.list"))
    return result + _registries()


def _registries() -> list[Route]:
    base, permission = f"{_GROUP}/registries/{{registry}}", f"{PROVIDER}/registries"
    result = [
        _route("POST", f"{base}/removeRegions", f"{permission}/removeRegions/action", "Registries.remove_regions")
    ]
    for lead in ("", "/mferp/managementfrontend"):
        path = f"{lead}{base}/models/{{name}}/versions/{{version}}/package"
        result.append(_route("POST", path, f"{permission}/assets/write", "RegistryModelVersions.package"))
    for method in ("GET", "POST", "PATCH", "DELETE"):
        path = f"/mlflow/rest{base}/{{rest:path}}"
        result.append(_route(method, path, f"{permission}/assets/read", "MLflow's model registry on a registry"))
    return result


def _group(asset: str) -> str:
    return asset.removesuffix("s").capitalize()


def _route(method: str, path: str, permission: str, operation: str) -> Route:
    operation = _OTHER_NAMES.get(operation, operation)

    async def refuse(_request: Request) -> Response:
        raise not_implemented(operation)

    return Route(method, path, permission, refuse, operation)
