"""Where the data behind an address lies: an account, a container and a path, or an address on the web.

`home` is the ARM id of the workspace, or registry, whose names short forms mean. `access` is that of `references`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError, not_found, validation
from lazulite.core.paths import UnsafePath, path_beneath, split
from lazulite.model import asset_reference, job_status, url_mirror
from lazulite.model.asset_reference import BlobPlace, DatastorePlace, JobOutputPlace, Place, WebPlace
from lazulite.resources import references, storage_accounts
from lazulite.resources.references import Access
from lazulite.store import resources, runs
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Resource

ARTIFACTS = "workspaceartifactstore"
_MODELS = ("custom_model", "mlflow_model", "triton_model")
_CONTAINER = {
    "AzureBlob": "containerName",
    "AzureDataLakeGen2": "filesystem",
    "AzureFile": "fileShareName",
}
_JOBS = f"{PROVIDER}/workspaces/jobs/read"
_DEFAULT = re.compile(r"\$\{\{\s*default_datastore\s*\}\}")


@dataclass(frozen=True, slots=True)
class Location:
    """`uri` is the address for people. With `account` the bytes are in our own storage; else `url` leads to them.

    `datastore` is the ARM id of the datastore that was named; `of_job` the job that writes there, `type` the kind of
    data an asset says it is.
    """

    uri: str
    account: str | None = None
    container: str | None = None
    path: str = ""
    url: str | None = None
    datastore: str | None = None
    of_job: str | None = None
    type: str | None = None


def locate(
    c: Connection,
    home: str,
    storage: StorageLocator,
    uri: str,
    kind: str = "uri_folder",
    *,
    target: str = "uri",
    access: Access | None = None,
) -> Location:
    """Follow an address of data, an asset or a job's output to its end. Raises ApiError 400, 403 or 404."""
    if asset_reference.is_asset(uri):
        asset = _asset(c, home, uri, kind, target, access)
        return _of_asset(c, storage, asset, kind, target)
    try:
        place = asset_reference.place(uri)
    except ValueError as error:
        raise validation(f"{error}.", target) from None
    return _of_place(c, home, storage, place, target, access)


def check_data(
    c: Connection,
    home: str,
    storage: StorageLocator,
    uri: str,
    kind: str,
    *,
    target: str = "uri",
    access: Access | None = None,
) -> str:
    """Refuse an input that names nothing: an unknown asset, datastore or job, or a file of ours that is not there.

    Returns the address in full: that of an asset names where it lies, and its version.
    """
    if asset_reference.is_asset(uri):
        asset = _asset(c, home, uri, kind, target, access)
        _check_there(storage, uri, _of_asset(c, storage, asset, kind, target), target)
        return asset_reference.spelled(asset.id)
    _check_there(storage, uri, locate(c, home, storage, uri, kind, target=target, access=access), target)
    return uri


def _check_there(storage: StorageLocator, uri: str, found: Location, target: str) -> None:
    if found.account is None or found.container is None or found.of_job is not None:
        return
    try:
        path = storage.local_path(found.account, found.container, found.path)
    except UnsafePath as error:
        raise validation(f"'{uri}' cannot be a path in a datastore: {error}.", f"{target}.uri") from None
    if path is not None and not path.exists():
        raise validation(
            f"There is nothing at '{uri}': datastore path '{found.path}' does not exist in '{found.container}'. "
            "Upload the data first, or correct the path.",
            f"{target}.uri",
        )


def check_output(
    c: Connection,
    workspace: str,
    storage: StorageLocator,
    uri: str,
    *,
    target: str = "uri",
    access: Access | None = None,
) -> None:
    """Refuse an output address that cannot be written to."""
    registry = asset_reference.of_registry(uri)
    if registry is not None:
        raise validation(
            f"A job does not write to the registry '{registry}' ('{uri}'). Name a datastore of the workspace, "
            "azureml://datastores/<name>/paths/<path>, and share what came out with the registry afterwards.",
            target,
        )
    try:
        place = asset_reference.place(uri)
    except ValueError as error:
        raise validation(f"{error}.", target) from None
    _require_access(c, workspace, storage, place, target, access, writes=True)
    if isinstance(place, DatastorePlace):
        if not _DEFAULT.fullmatch(place.datastore):  # known when the job runs
            references.datastore(c, place.workspace or workspace, place.datastore, target=target)
        try:
            split(place.path.strip("/") or "-")
        except UnsafePath as error:
            raise validation(f"'{uri}' cannot be a path in a datastore: {error}.", target) from None
    elif isinstance(place, WebPlace) or not isinstance(place, BlobPlace):
        raise validation(
            f"An output cannot be written to '{uri}'. Use azureml://datastores/<name>/paths/<path>.", target
        )


def mirrored(mirror: Mapping[str, str], where: Location) -> Path | None:
    """What stands here for a public address. Raises ApiError where its prefix is mapped and nothing is there."""
    found = url_mirror.find(mirror, where.url) if where.url else None
    if found is None:
        return None
    folder, below = found
    said = "by [url_mirror] in settings.toml, and"
    try:
        path = path_beneath(Path(folder), below) if below else Path(folder)
    except UnsafePath as error:
        raise ApiError(400, "UserError/InvalidPath", f"'{where.url}' is mapped to '{folder}' {said} {error}.") from None
    if not path.exists():
        raise ApiError(400, "InputNotFound", f"'{where.url}' is mapped to '{path}' {said} nothing is there.")
    return path


def in_datastore(datastore: Resource, storage: StorageLocator, path: str) -> Location:
    """A path in a datastore."""
    properties = datastore.properties
    container = str(properties.get(_CONTAINER.get(str(properties.get("datastoreType")), ""), ""))
    uri = asset_reference.datastore_uri(arm_id.workspace_of(datastore.id), datastore.name, path)
    name = str(properties.get("accountName", ""))
    account = storage.own_account(name)
    if account is not None and container:
        return Location(uri, account, container, path.strip("/"), datastore=datastore.id)
    suffix = properties.get("endpoint") or "core.windows.net"
    url = f"https://{name}.blob.{suffix}/{container}/{path.strip('/')}" if container else None
    return Location(uri, path=path, url=url, datastore=datastore.id)


def artifacts(c: Connection, workspace: str, storage: StorageLocator, run: str, path: str = "") -> Location:
    """A path among the artifacts of a run."""
    store = references.datastore(c, workspace, ARTIFACTS)
    return in_datastore(store, storage, f"ExperimentRun/dcid.{run}/{path}".rstrip("/") + ("" if path else "/"))


def artifact_path(c: Connection, workspace: str, storage: StorageLocator, run: str, name: str) -> Path | None:
    """Where a file of a run's artifacts lies; None where they are not plain files of this machine."""
    try:
        where = artifacts(c, workspace, storage, run, name)
    except ApiError:
        return None
    if where.account is None or where.container is None:
        return None
    return storage.local_path(where.account, where.container, where.path)


def _asset(c: Connection, home: str, uri: str, kind: str, target: str, access: Access | None) -> Resource:
    is_model = kind.lower() in _MODELS or "/models/" in uri.lower()
    return (references.model if is_model else references.data)(c, home, uri, target=target, access=access)


def _of_asset(c: Connection, storage: StorageLocator, asset: Resource, kind: str, target: str) -> Location:
    """Whoever may read an asset may read its data, wherever that lies."""
    found = asset.properties
    inner, declared = found.get("modelUri") or found.get("dataUri"), found.get("modelType") or found.get("dataType")
    if not isinstance(inner, str) or asset_reference.is_asset(inner):
        raise validation(f"The asset '{asset.id}' has no address of data.", target)
    return replace(locate(c, arm_id.asset_home(asset.id), storage, inner, kind, target=target), type=declared)


def require_access(
    c: Connection,
    home: str,
    storage: StorageLocator,
    uri: str,
    access: Access | None,
    *,
    target: str = "uri",
    writes: bool = False,
) -> None:
    """Ask for the right to a place outside of `home`: of another workspace, or in another's storage account.

    Says nothing about addresses that are none; for assets the right to the asset counts. Raises ApiError 403.
    """
    if asset_reference.is_asset(uri):
        return
    try:
        place = asset_reference.place(uri)
    except ValueError:
        return
    _require_access(c, home, storage, place, target, access, writes)


def _require_access(
    c: Connection,
    home: str,
    storage: StorageLocator,
    place: Place,
    target: str,
    access: Access | None,
    writes: bool = False,
) -> None:
    match place:
        case DatastorePlace():
            references.require_access(home, place.workspace or home, references.KEYS, target, access)
        case JobOutputPlace():
            references.require_access(home, place.workspace or home, _JOBS, target, access)
        case BlobPlace(name):
            account = storage.own_account(name)
            if account is not None and access is not None:
                verb = "write" if writes else "read"
                storage_accounts.require_access(c, home, account, verb, target, access)
            elif access is not None:
                storage_accounts.check_settled(c, name, target)


def _of_place(
    c: Connection, home: str, storage: StorageLocator, place: Place, target: str, access: Access | None
) -> Location:
    _require_access(c, home, storage, place, target, access)
    match place:
        case DatastorePlace(name, path, elsewhere):
            store = references.datastore(c, elsewhere or home, name, target=target)
            return in_datastore(store, storage, path)
        case JobOutputPlace():
            return _of_job(c, place.workspace or home, storage, place, target)
        case BlobPlace(name, container, path, url):
            account = storage.own_account(name)
            if account is not None:
                return Location(url, account, container, path)
            return Location(url, url=url)
        case WebPlace(url):
            return Location(url, url=url)


def _of_job(c: Connection, workspace: str, storage: StorageLocator, place: JobOutputPlace, target: str) -> Location:
    job = resources.get(c, f"{workspace}/jobs/{place.job}")
    if job is None and runs.get(c, workspace, place.job) is None:
        raise not_found(f"There is no job or run '{place.job}' in this workspace.", target)
    if place.output in ("default", "artifacts"):
        return replace(artifacts(c, workspace, storage, place.job, place.path), of_job=place.job)
    outputs = job_status.read(job.status).outputs if job is not None else {}
    if place.output in outputs:
        base = outputs[place.output].uri.rstrip("/")
        uri = f"{base}/{place.path}" if place.path else base
        found = locate(c, workspace, storage, uri, target=target)
    elif job is not None and place.output in (job.properties.get("outputs") or {}):
        store = references.datastore(c, workspace, "workspaceblobstore", target=target)
        found = in_datastore(store, storage, f"azureml/{place.job}/{place.output}/{place.path}")
    else:
        raise not_found(f"The job '{place.job}' has no output '{place.output}'.", target)
    return replace(found, of_job=place.job)
