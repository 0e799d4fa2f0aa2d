"""Where the data behind an address lies: an account, a container and a path, or an address on the web."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import not_found, validation
from lazulite.core.paths import UnsafePath, split
from lazulite.model import asset_reference, job_status
from lazulite.model.asset_reference import BlobPlace, DatastorePlace, JobOutputPlace, Place, WebPlace
from lazulite.resources import references
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
    c: Connection, workspace: str, storage: StorageLocator, uri: str, kind: str = "uri_folder", *, target: str = "uri"
) -> Location:
    """Follow an address of data, an asset or a job's output to its end. Raises ApiError 400 or 404."""
    if asset_reference.is_asset(uri):
        return _of_asset(c, workspace, storage, uri, kind, target)
    try:
        place = asset_reference.place(uri)
    except ValueError as error:
        raise validation(f"{error}.", target) from None
    return _of_place(c, workspace, storage, place, target)


def check_data(
    c: Connection, workspace: str, storage: StorageLocator, uri: str, kind: str, *, target: str = "uri"
) -> None:
    """Refuse an input that names nothing: an unknown asset, datastore or job, or a file of ours that is not there."""
    found = locate(c, workspace, storage, uri, kind, target=target)
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


def check_output(c: Connection, workspace: str, uri: str, *, target: str = "uri") -> None:
    """Refuse an output address that cannot be written to."""
    try:
        place = asset_reference.place(uri)
    except ValueError as error:
        raise validation(f"{error}.", target) from None
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


def _of_asset(c: Connection, workspace: str, storage: StorageLocator, uri: str, kind: str, target: str) -> Location:
    if kind.lower() in _MODELS or "/models/" in uri.lower():
        asset = references.model(c, workspace, uri, target=target)
        inner, declared = asset.properties.get("modelUri"), asset.properties.get("modelType")
    else:
        asset = references.data(c, workspace, uri, target=target)
        inner, declared = asset.properties.get("dataUri"), asset.properties.get("dataType")
    if not isinstance(inner, str) or asset_reference.is_asset(inner):
        raise validation(f"The asset '{asset.id}' has no address of data.", target)
    return replace(locate(c, workspace, storage, inner, kind, target=target), type=declared)


def _of_place(c: Connection, workspace: str, storage: StorageLocator, place: Place, target: str) -> Location:
    match place:
        case DatastorePlace(name, path, elsewhere):
            store = references.datastore(c, elsewhere or workspace, name, target=target)
            return in_datastore(store, storage, path)
        case JobOutputPlace():
            return _of_job(c, workspace, storage, place, target)
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
