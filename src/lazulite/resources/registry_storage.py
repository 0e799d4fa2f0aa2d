"""The files of a registry's assets: a container for each upload, addresses that may be registered, addresses to read.

Nobody gets more of a registry's storage than one container: an upload's writer its own, a reader that of one version.
"""

from __future__ import annotations

import datetime as dt
import uuid

from lazulite.core import sas
from lazulite.core.clock import utc_now
from lazulite.core.errors import ApiError, validation
from lazulite.core.paths import split
from lazulite.model import asset_reference
from lazulite.model.asset_reference import BlobPlace, WebPlace
from lazulite.resources import datastores, job_rights, registries
from lazulite.resources.declaration import Call, Files, Reading, Services, Write
from lazulite.store.resources import Json

#: The property with the address of an asset's files, by collection.
ADDRESS = {"codes": "codeUri", "data": "dataUri", "models": "modelUri"}
_UPLOAD_HOURS = 12
_DOWNLOAD_HOURS = 12


def account(reading: Reading, registry_id: str) -> str:
    """The name of a registry's storage account. Raises ApiError 404."""
    found = registries.require_id(reading.connection, registry_id)
    return str(found.properties["storageAccount"]).rsplit("/", 1)[1]


def new_container(collection: str) -> str:
    """A name that no upload had before: what an earlier one left behind is never part of a later one."""
    return f"{collection}-{uuid.uuid4().hex}"


def pending_upload(call: Call, registry_id: str, collection: str) -> Json:
    """A container of its own to upload into: its address, and a SAS for it."""
    own, name = account(call, registry_id), new_container(collection)
    token = _sas(call, own, name, "racwdl", _UPLOAD_HOURS)
    uri = address(call, own, name)
    call.after.append(lambda: call.services.storage.ensure(own, [name], []))
    return _reference(own, uri, f"{uri}?{token}") | {
        "pendingUploadId": name,
        "pendingUploadType": "TemporaryBlobReference",
    }


def address(reading: Reading, account_name: str, container: str, path: str = "") -> str:
    public = reading.services.storage.public_account(account_name)
    uri = f"https://{public}.blob.core.windows.net/{container}"
    return f"{uri}/{path}" if path else uri


def download(reading: Reading, registry_id: str, uri: str, *, by_prefix: bool) -> Json:
    """An address to read the container of `uri` with.

    `by_prefix`: clients that take the first segment of any address's path for the container, and the rest of the
    asset's address for the names of blobs, are told the address of all storage; the SAS still opens one container.
    Raises ApiError 404 where the files lie elsewhere.
    """
    own = account(reading, registry_id)
    place = _place(uri)
    if not isinstance(place, BlobPlace) or reading.services.storage.own_account(place.account) != own:
        raise ApiError(
            404, "NoFilesHere", f"The files of this asset lie at '{uri}', not in the registry's storage.", target="uri"
        )
    token = _sas(reading, own, place.container, "rl", _DOWNLOAD_HOURS)
    base = f"{reading.services.base_url}/storage" if by_prefix else address(reading, own, place.container)
    return _reference(own, uri, f"{base}?{token}")


def files(services: Services, uri: str) -> Files | None:
    """The place in our own storage that an address means; None where it lies elsewhere."""
    place = _place(uri)
    account_name = services.storage.own_account(place.account) if isinstance(place, BlobPlace) else None
    if not isinstance(place, BlobPlace) or account_name is None:
        return None
    return Files(account_name, place.container, place.path)


def check_address(write: Write, registry_id: str, uri: str, target: str) -> None:
    """Refuse an address that is not the registry's own to show: a workspace's, or another account's of this server."""
    place = _place(uri)
    if isinstance(place, BlobPlace):
        owner = write.services.storage.own_account(place.account)
        if owner is None or owner == account(write, registry_id):
            return
    elif isinstance(place, WebPlace):
        return
    raise validation(
        f"'{uri}' belongs to a workspace or to another storage account of this server; an asset of a registry has its "
        "files in the registry's own storage. Upload them, or share the workspace's asset "
        "(`ml_client.models.share(...)`).",
        target,
    )


def _place(uri: str) -> object:
    """The place that an address means; None where it is none, or no path could be it."""
    try:
        place = asset_reference.place(uri)
        if isinstance(place, BlobPlace):
            split("/".join(filter(None, (place.container, place.path))))
    except ValueError:
        return None
    return place


def _sas(reading: Reading, account_name: str, container: str, permissions: str, hours: float) -> str:
    key = datastores.account_key(reading, account_name)
    start = utc_now()
    holder = job_rights.holder(reading.principal, reading.services.tenant, ends=True)
    expires = start + dt.timedelta(hours=hours)
    return sas.delegated_sas(account_name, key, container, permissions, expires, holder, start=start)


def _reference(account_name: str, uri: str, sas_uri: str) -> Json:
    return {
        "blobReferenceForConsumption": {
            "blobUri": uri,
            "storageAccountArmId": account_name,
            "credential": {"credentialType": "SAS", "sasUri": sas_uri},
        }
    }
