"""What clients' references mean: assets, computes and datastores of a workspace, and curated environments.

Every function runs inside the caller's transaction and raises ApiError 400 or 404 with `target`, the field at fault,
and the nearest names there are.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, nearest, not_found, validation
from lazulite.environments import catalogue
from lazulite.model import asset_reference
from lazulite.model.asset_reference import AssetReference
from lazulite.resources.versions import latest
from lazulite.store import resources
from lazulite.store.resources import Resource

_NOUNS = {
    "environments": "environment",
    "data": "data asset",
    "models": "model",
    "components": "component",
    "codes": "code asset",
}
_LATEST = ("latest", "azureml_default", "default")


def environment(
    c: Connection, workspace: str, reference: str, *, target: str = "environmentId"
) -> Resource | catalogue.CuratedEnvironment:
    """The version of an environment that is meant: a registered one, or a curated one of the catalogue."""
    found = _parsed(reference, "environments", target)
    if found.registry is None:
        registered = _version(c, found.workspace or workspace, "environments", found)
        if registered is not None:
            return registered
    curated = catalogue.lookup(found.name, found.version or found.label, registry=found.registry)
    if curated is not None:
        return curated
    raise _missing(c, workspace, "environments", found, target, known=[entry.name for entry in catalogue.all()])


def data(c: Connection, workspace: str, reference: str, *, target: str = "uri") -> Resource:
    """The version of a data asset that is meant."""
    return _asset(c, workspace, "data", reference, target)


def model(c: Connection, workspace: str, reference: str, *, target: str = "uri") -> Resource:
    return _asset(c, workspace, "models", reference, target)


def component(c: Connection, workspace: str, reference: str, *, target: str = "componentId") -> Resource:
    return _asset(c, workspace, "components", reference, target)


def code(c: Connection, workspace: str, reference: str, *, target: str = "codeId") -> Resource:
    return _asset(c, workspace, "codes", reference, target)


def compute(c: Connection, workspace: str, reference: str, *, target: str = "computeId") -> Resource:
    """A compute by name (`azureml:cpu-cluster`, `cpu-cluster`) or ARM id."""
    return _child(c, workspace, "computes", "compute", reference, target)


def datastore(c: Connection, workspace: str, reference: str, *, target: str = "datastore") -> Resource:
    return _child(c, workspace, "datastores", "datastore", reference, target)


def _asset(c: Connection, workspace: str, collection: str, reference: str, target: str) -> Resource:
    found = _parsed(reference, collection, target)
    if found.registry is not None:
        raise not_found(
            f"The registry '{found.registry}' has no {_NOUNS[collection]} '{found.name}' on this server, which serves "
            f"environments of registries only. Make it in the workspace and name it 'azureml:{found.name}:VERSION'.",
            target,
        )
    version = _version(c, found.workspace or workspace, collection, found)
    if version is None:
        raise _missing(c, found.workspace or workspace, collection, found, target)
    return version


def _parsed(reference: str, collection: str, target: str) -> AssetReference:
    try:
        return asset_reference.asset(reference, collection)
    except ValueError as error:
        raise validation(f"{error}.", target) from None


def _version(c: Connection, workspace: str, collection: str, found: AssetReference) -> Resource | None:
    container = f"{workspace}/{collection}/{found.name}"
    if found.version is not None and found.version.lower() not in _LATEST:
        return resources.get(c, f"{container}/versions/{found.version}")
    if (found.label or found.version or "latest").lower() not in _LATEST:
        return None
    return latest(c, container, f"{PROVIDER}/workspaces/{collection}/versions")


def _missing(
    c: Connection, workspace: str, collection: str, found: AssetReference, target: str, known: list[str] | None = None
) -> ApiError:
    noun = _NOUNS[collection]
    type_ = f"{PROVIDER}/workspaces/{collection}/versions"
    versions = resources.children(c, f"{workspace}/{collection}/{found.name}", type_, newest_first=True, limit=8)
    wanted = found.version or found.label or "latest"
    if versions:
        there = ", ".join(f"'{version.name}'" for version in versions)
        return not_found(f"The {noun} '{found.name}' has no version or label '{wanted}'. It has {there}.", target)
    if known and found.name.lower() in (name.lower() for name in known):
        return not_found(f"The curated environment '{found.name}' has no version or label '{wanted}'.", target)
    names = {version.id.rsplit("/", 3)[1] for version in resources.under(c, workspace, type_)} | set(known or ())
    return not_found(f"There is no {noun} '{found.name}'.{nearest(found.name, names)}", target)


def _child(c: Connection, workspace: str, collection: str, noun: str, reference: str, target: str) -> Resource:
    text = str(reference).strip().removeprefix("azureml:")
    id_ = "/" + text.strip("/") if "/" in text else f"{workspace}/{collection}/{text}"
    found = resources.get(c, id_)
    if found is not None and found.type == f"{PROVIDER}/workspaces/{collection}".lower():
        return found
    name = id_.rsplit("/", 1)[1]
    parent = _workspace_of(id_) or workspace
    known = [r.name for r in resources.children(c, parent, f"{PROVIDER}/workspaces/{collection}", limit=200)]
    raise not_found(
        f"There is no {noun} '{name}' in workspace '{parent.rsplit('/', 1)[1]}'.{nearest(name, known)}", target
    )


def _workspace_of(id_: str) -> str | None:
    try:
        return arm_id.workspace_of(id_)
    except ValueError:
        return None
