"""What clients' references mean: assets of workspaces and registries, curated environments, computes and datastores.

Every function runs inside the caller's transaction and raises ApiError 400 or 404 with `target`, the field at fault,
and the nearest names there are. Short forms (`azureml:name:version`) mean assets of `home`, the ARM id of a workspace or
a registry. With `access` what lies elsewhere is looked for only where the caller may read; it raises ApiError 403. The
engine leaves it out: rights are asked for once, when a job is submitted.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, nearest, not_found, validation
from lazulite.environments import catalogue
from lazulite.model import asset_reference
from lazulite.model.asset_reference import AssetReference
from lazulite.resources import registries
from lazulite.resources.versions import latest
from lazulite.store import resources
from lazulite.store.resources import Resource

#: `(action, scope, target)`: raises ApiError 403 where the caller may not.
Access = Callable[[str, str, str], None]

_NOUNS = {
    "environments": "environment",
    "data": "data asset",
    "models": "model",
    "components": "component",
    "codes": "code asset",
}
_LATEST = ("latest", "azureml_default", "default")
READ_REGISTRY = f"{registries.ASSET_RIGHTS}/read"
#: What reading the data of another workspace needs: a datastore is as good as its key.
KEYS = f"{PROVIDER}/workspaces/datastores/listSecrets/action"


def environment(
    c: Connection, home: str, reference: str, *, target: str = "environmentId", access: Access | None = None
) -> Resource | catalogue.CuratedEnvironment:
    """The version of an environment that is meant: a registered one, or a curated one of the catalogue."""
    found = _parsed(reference, "environments", target)
    named = found.registry or (None if found.workspace else arm_id.parse(home).registry)
    curated = catalogue.lookup(found.name, found.version or found.label, registry=named)
    if named is not None and curated is not None and registries.find(c, named) is None:
        return curated
    where = _home(c, home, found, "environments", target, access)
    registered = _version(c, where, "environments", found)
    if registered is not None:
        return registered
    if curated is not None:
        return curated
    raise _missing(c, where, "environments", found, target, known=_curated_names(where))


def _curated_names(home: str) -> list[str]:
    registry = arm_id.parse(home).registry
    if registry is None:
        return [entry.name for entry in catalogue.all()]
    return catalogue.registry_names() if registry.lower() == registries.AZUREML else []


def data(c: Connection, home: str, reference: str, *, target: str = "uri", access: Access | None = None) -> Resource:
    """The version of a data asset that is meant."""
    return _asset(c, home, "data", reference, target, access)


def model(c: Connection, home: str, reference: str, *, target: str = "uri", access: Access | None = None) -> Resource:
    return _asset(c, home, "models", reference, target, access)


def component(
    c: Connection, home: str, reference: str, *, target: str = "componentId", access: Access | None = None
) -> Resource:
    return _asset(c, home, "components", reference, target, access)


def code(c: Connection, home: str, reference: str, *, target: str = "codeId", access: Access | None = None) -> Resource:
    return _asset(c, home, "codes", reference, target, access)


def compute(c: Connection, workspace: str, reference: str, *, target: str = "computeId") -> Resource:
    """A compute of the workspace by name (`azureml:cpu-cluster`, `cpu-cluster`) or ARM id."""
    return _child(c, workspace, "computes", "compute", reference, target)


def datastore(c: Connection, workspace: str, reference: str, *, target: str = "datastore") -> Resource:
    return _child(c, workspace, "datastores", "datastore", reference, target)


def require_access(home: str, elsewhere: str, action: str, target: str, access: Access | None) -> None:
    """Ask for the right to what lies in another workspace or registry; what lies in `home` needs none."""
    if access is not None and arm_id.key(elsewhere) != arm_id.key(home):
        access(action, elsewhere, target)


def require_read(home: str, reference: str, collection: str, target: str, access: Access) -> None:
    """Ask for the right to an asset of another workspace; whether it is there is not looked for. Raises ApiError 403."""
    try:
        found = asset_reference.asset(reference, collection)
    except ValueError:
        return
    if found.registry is None and found.workspace is not None:
        require_access(home, found.workspace, f"{PROVIDER}/workspaces/{collection}/versions/read", target, access)


def _asset(c: Connection, home: str, collection: str, reference: str, target: str, access: Access | None) -> Resource:
    found = _parsed(reference, collection, target)
    where = _home(c, home, found, collection, target, access)
    version = _version(c, where, collection, found)
    if version is None:
        raise _missing(c, where, collection, found, target)
    return version


def _parsed(reference: str, collection: str, target: str) -> AssetReference:
    try:
        return asset_reference.asset(reference, collection)
    except ValueError as error:
        raise validation(f"{error}.", target) from None


def _home(c: Connection, home: str, found: AssetReference, collection: str, target: str, access: Access | None) -> str:
    """The workspace or registry that a reference leads to. Raises ApiError 403 or 404."""
    if found.registry is None:
        where = found.workspace or home
        require_access(home, where, f"{PROVIDER}/workspaces/{collection}/versions/read", target, access)
        return where
    registry = registries.find(c, found.registry)
    if registry is None:
        raise registries.missing(found.registry, _readable(c, access), target=target)
    require_access(home, registry.id, READ_REGISTRY, target, access)
    return registry.id


def _readable(c: Connection, access: Access | None) -> list[str]:
    """The names of the registries that the caller may read."""

    def may(registry: Resource) -> bool:
        try:
            require_access("", registry.id, READ_REGISTRY, "", access)
        except ApiError:
            return False
        return access is not None

    return [row.name for row in resources.under(c, "/subscriptions", registries.TYPE.type) if may(row)]


def _version(c: Connection, home: str, collection: str, found: AssetReference) -> Resource | None:
    container = f"{home}/{collection}/{found.name}"
    if found.version is not None and found.version.lower() not in _LATEST:
        return resources.get(c, f"{container}/versions/{found.version}")
    if (found.label or found.version or "latest").lower() not in _LATEST:
        return None
    return latest(c, container, _versions(home, collection))


def _versions(home: str, collection: str) -> str:
    """The type of the versions of a collection."""
    return f"{PROVIDER}/{'registries' if arm_id.parse(home).registry else 'workspaces'}/{collection}/versions"


def _missing(
    c: Connection, home: str, collection: str, found: AssetReference, target: str, known: list[str] | None = None
) -> ApiError:
    noun, type_ = _NOUNS[collection], _versions(home, collection)
    versions = resources.children(c, f"{home}/{collection}/{found.name}", type_, newest_first=True, limit=8)
    wanted = found.version or found.label or "latest"
    registry = arm_id.parse(home).registry
    where = f" in the registry '{registry}'" if registry else ""
    if versions:
        there = ", ".join(f"'{version.name}'" + (" (archived)" if version.archived else "") for version in versions)
        return not_found(
            f"The {noun} '{found.name}'{where} has no version or label '{wanted}'. It has {there}.", target
        )
    if known and found.name.lower() in (name.lower() for name in known):
        return not_found(f"The curated environment '{found.name}' has no version or label '{wanted}'.", target)
    versions = [version for version in resources.under(c, home, type_) if not version.properties.get("isAnonymous")]
    names = {version.id.rsplit("/", 3)[1] for version in versions} | set(known or ())
    near = nearest(found.name, names)
    if registry is None:
        return not_found(f"There is no {noun} '{found.name}'.{near}", target)
    load = f" 'lazulite registry load FOLDER --registry {registry} --only {found.name}' loads it from its files."
    return not_found(f"The registry '{registry}' has no {noun} '{found.name}' on this server.{near}{load}", target)


def _child(c: Connection, workspace: str, collection: str, noun: str, reference: str, target: str) -> Resource:
    """What is the workspace's own; another's is not looked for."""
    text = str(reference).strip().removeprefix("azureml:").strip("/")
    id_ = f"/{text}" if "/" in text else f"{workspace}/{collection}/{text}"
    name = id_.rsplit("/", 1)[1]
    if arm_id.key(_workspace_of(id_) or workspace) != arm_id.key(workspace):
        text = (
            f"The {noun} '{name}' lies in another workspace ('{reference}'), and here one of the job's own is needed."
        )
        raise validation(text, target)
    found = resources.get(c, id_)
    if found is not None and found.type == f"{PROVIDER}/workspaces/{collection}".lower():
        return found
    known = [r.name for r in resources.children(c, workspace, f"{PROVIDER}/workspaces/{collection}", limit=200)]
    raise not_found(
        f"There is no {noun} '{name}' in workspace '{workspace.rsplit('/', 1)[1]}'.{nearest(name, known)}", target
    )


def _workspace_of(id_: str) -> str | None:
    try:
        return arm_id.workspace_of(id_)
    except ValueError:
        return None
