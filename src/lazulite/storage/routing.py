"""Which operation a blob request asks for, and what it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lazulite.storage import batch, blob_reads, blob_writes, block_writes, containers, copies, datalake, service, shares
from lazulite.storage.authorization import Need
from lazulite.storage.errors import StorageError, not_built
from lazulite.storage.exchange import Answer, Exchange
from lazulite.storage.request import Request

Handler = Callable[[Exchange], Awaitable[Answer]]

_SERVICE = "Microsoft.Storage/storageAccounts/blobServices"
_CONTAINERS = f"{_SERVICE}/containers"
_BLOBS = f"{_CONTAINERS}/blobs"


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    handler: Handler
    need: Need


def _of_service(name: str, handler: Handler, sas: str, action: str) -> Operation:
    return Operation(name, handler, Need(sas, "s", action, container_sas=False))


def _of_container(
    name: str, handler: Handler, sas: str, action: str, *, container_sas: bool = False, kind: str = "c"
) -> Operation:
    return Operation(name, handler, Need(sas, kind, action, container_sas))


def _of_blob(name: str, handler: Handler, sas: str, action: str) -> Operation:
    return Operation(name, handler, Need(sas, "o", f"{_BLOBS}/{action}"))


# (method, restype, comp)
_SERVICE_OPERATIONS = {
    ("GET", "", "list"): _of_service("List Containers", service.list_containers, "l", f"{_CONTAINERS}/read"),
    ("GET", "service", "properties"): _of_service(
        "Get Blob Service Properties", service.get_service_properties, "r", f"{_SERVICE}/read"
    ),
    ("PUT", "service", "properties"): _of_service(
        "Set Blob Service Properties", service.set_service_properties, "w", f"{_SERVICE}/write"
    ),
    ("GET", "account", "properties"): Operation(
        "Get Account Information",
        service.get_account_information,
        Need("rwdlacuptf", "s", f"{_CONTAINERS}/read", container_sas=False),
    ),
    ("POST", "service", "userdelegationkey"): _of_service(
        "Get User Delegation Key",
        service.get_user_delegation_key,
        "r",
        f"{_SERVICE}/generateUserDelegationKey/action",
    ),
}

_SERVICE_OPERATIONS["POST", "", "batch"] = Operation(
    "Blob Batch", batch.submit_batch, Need("dw", "o", f"{_BLOBS}/delete", container_sas=False)
)

# (method, comp)
_CONTAINER_OPERATIONS = {
    ("PUT", ""): _of_container("Create Container", containers.create_container, "cw", f"{_CONTAINERS}/write"),
    ("GET", ""): _of_container(
        "Get Container Properties", containers.get_container, "rl", f"{_CONTAINERS}/read", container_sas=True
    ),
    ("DELETE", ""): _of_container("Delete Container", containers.delete_container, "d", f"{_CONTAINERS}/delete"),
    ("GET", "metadata"): _of_container(
        "Get Container Metadata", containers.get_container, "rl", f"{_CONTAINERS}/read", container_sas=True
    ),
    ("PUT", "metadata"): _of_container(
        "Set Container Metadata", containers.set_container_metadata, "w", f"{_CONTAINERS}/write"
    ),
    ("GET", "acl"): _of_container("Get Container ACL", containers.get_acl, "r", f"{_CONTAINERS}/getAcl/action"),
    ("PUT", "acl"): _of_container("Set Container ACL", containers.set_acl, "w", f"{_CONTAINERS}/setAcl/action"),
    ("PUT", "lease"): _of_container("Lease Container", containers.lease_container, "w", f"{_CONTAINERS}/lease/action"),
    ("POST", "batch"): _of_container(
        "Blob Batch", batch.submit_batch, "dw", f"{_BLOBS}/delete", container_sas=True, kind="o"
    ),
    ("GET", "list"): _of_container("List Blobs", containers.list_blobs, "l", f"{_BLOBS}/read", container_sas=True),
}

_BLOB_OPERATIONS = {
    ("GET", ""): _of_blob("Get Blob", blob_reads.get_blob, "r", "read"),
    ("HEAD", ""): _of_blob("Get Blob Properties", blob_reads.get_properties, "r", "read"),
    ("GET", "metadata"): _of_blob("Get Blob Metadata", blob_reads.get_metadata, "r", "read"),
    ("HEAD", "metadata"): _of_blob("Get Blob Metadata", blob_reads.get_metadata, "r", "read"),
    ("GET", "tags"): _of_blob("Get Blob Tags", blob_reads.get_tags, "rt", "tags/read"),
    ("GET", "blocklist"): _of_blob("Get Block List", block_writes.get_block_list, "r", "read"),
    ("PUT", ""): _of_blob("Put Blob", blob_writes.put_blob, "wc", "write"),
    ("PUT", "metadata"): _of_blob("Set Blob Metadata", blob_writes.set_metadata, "w", "write"),
    ("PUT", "properties"): _of_blob("Set Blob Properties", blob_writes.set_properties, "w", "write"),
    ("PUT", "tags"): _of_blob("Set Blob Tags", blob_writes.set_tags, "tw", "tags/write"),
    ("PUT", "tier"): _of_blob("Set Blob Tier", blob_writes.set_tier, "w", "write"),
    ("PUT", "lease"): _of_blob("Lease Blob", blob_writes.lease_blob, "w", "write"),
    ("PUT", "block"): _of_blob("Put Block", block_writes.put_block, "wc", "write"),
    ("PUT", "blocklist"): _of_blob("Put Block List", block_writes.put_block_list, "wc", "write"),
    ("PUT", "appendblock"): _of_blob("Append Block", block_writes.append_block, "aw", "add/action"),
    ("PUT", "seal"): _of_blob("Seal Append Blob", block_writes.seal, "aw", "write"),
    ("PUT", "copy"): _of_blob("Abort Copy Blob", copies.abort_copy, "w", "write"),
    ("DELETE", ""): _of_blob("Delete Blob", blob_writes.delete_blob, "d", "delete"),
}

_COPIES = {
    "block": _of_blob("Put Block From URL", copies.put_block_from_url, "wc", "write"),
    "appendblock": _of_blob("Append Block From URL", copies.append_block_from_url, "aw", "add/action"),
    "blob": _of_blob("Put Blob From URL", copies.put_blob_from_url, "wc", "write"),
    "": _of_blob("Copy Blob", copies.copy_blob, "wc", "write"),
}

#: Operations that Azure has and this does not: they say so by name.
_NOT_BUILT = {
    "page": "Put Page",
    "pagelist": "Get Page Ranges",
    "incrementalcopy": "Incremental Copy Blob",
    "snapshot": "Snapshot Blob",
    "undelete": "Undelete Blob",
    "query": "Query Blob Contents",
    "expiry": "Set Blob Expiry",
    "immutabilitypolicies": "Set Blob Immutability Policy",
    "legalhold": "Set Blob Legal Hold",
    "stats": "Get Blob Service Stats",
    "blobs": "Find Blobs by Tags",
    "rename": "Rename Container",
}
_NOT_BUILT_OF_CONTAINERS = {"undelete": "Restore Container", "blobs": "Find Blobs by Tags in Container"}


def route(request: Request) -> Operation:
    """The blob operation that a request asks for. Raises StorageError 400, 405 or 501."""
    query, where = request.query, request.address
    comp, restype = query.get("comp", "").lower(), query.get("restype", "").lower()
    method = request.method
    found: Operation | None
    if restype == "account" and comp == "properties" and method in ("GET", "HEAD"):
        found = _SERVICE_OPERATIONS["GET", "account", "properties"]
    elif where.blob:
        found = _blob_operation(request, method, comp)
    elif not where.container:
        found = _SERVICE_OPERATIONS.get(("GET" if method == "HEAD" else method, restype, comp))
    else:
        if restype != "container" and not where.listed:
            raise StorageError(
                "InvalidQueryParameterValue" if restype else "MissingRequiredQueryParameter",
                "An operation on a container needs the query parameter restype=container.",
            )
        found = _CONTAINER_OPERATIONS.get(("GET" if method == "HEAD" else method, comp))
    if found is not None:
        return found
    if method == "OPTIONS":
        raise not_built("Preflight Blob Request")
    if comp in _NOT_BUILT:
        raise not_built(_name_of_not_built(request, comp))
    if comp:
        raise StorageError(
            "InvalidQueryParameterValue", f"There is no operation {method} with comp='{comp[:60]}' on this resource."
        )
    raise StorageError("UnsupportedHttpVerb", f"The resource does not support {method}.")


def _name_of_not_built(request: Request, comp: str) -> str:
    if request.address.container and not request.address.blob and comp in _NOT_BUILT_OF_CONTAINERS:
        return _NOT_BUILT_OF_CONTAINERS[comp]
    name = _NOT_BUILT[comp]
    if comp == "page" and "x-ms-copy-source" in request.headers:
        return f"{name} From URL"
    return name.replace("Set", "Delete", 1) if request.method == "DELETE" else name


_FILE_SYSTEM_OPERATIONS = {
    "PUT": _CONTAINER_OPERATIONS["PUT", ""],
    "HEAD": _CONTAINER_OPERATIONS["GET", ""],
    "DELETE": _CONTAINER_OPERATIONS["DELETE", ""],
    "GET": _of_container("List Paths", datalake.list_paths, "l", f"{_BLOBS}/read", container_sas=True),
}
_PATH_OPERATIONS = {
    "PUT": _of_blob("Create Path", datalake.create_path, "wc", "write"),
    "PATCH": _of_blob("Update Path", datalake.update_path, "wac", "write"),
    "GET": _of_blob("Read Path", blob_reads.get_blob, "r", "read"),
    "HEAD": _of_blob("Get Path Properties", datalake.path_properties, "r", "read"),
    "DELETE": _of_blob("Delete Path", datalake.delete_path, "d", "delete"),
}


#: By the method, which at its level stands for nothing else.
_PATHS_NOT_BUILT = {"POST": "Lease Path", "PATCH": "Set Filesystem Properties", "OPTIONS": "The preflight request"}


def route_path(request: Request) -> Operation:
    """The Data Lake operation that a request asks for. Raises StorageError 405 or 501."""
    where = request.address
    if where.blob:
        found = _PATH_OPERATIONS.get(request.method)
    elif where.container:
        found = _FILE_SYSTEM_OPERATIONS.get(request.method)
    else:
        raise not_built("The account level of the Data Lake service")
    if found is None and request.method in _PATHS_NOT_BUILT:
        raise not_built(_PATHS_NOT_BUILT[request.method])
    if found is None:
        raise StorageError("UnsupportedHttpVerb", f"The resource does not support {request.method}.")
    return found


# (method, restype, comp); the actions are those of the Files service
_FILES = "Microsoft.Storage/storageAccounts/fileServices/fileshares"


def _of_file(name: str, handler: Handler, sas: str, action: str) -> Operation:
    return Operation(name, handler, Need(sas, "o", f"{_FILES}/files/{action}"))


_SHARE_OPERATIONS = {
    ("PUT", "share", ""): _of_container("Create Share", containers.create_container, "cw", f"{_FILES}/write"),
    ("GET", "share", ""): _of_container(
        "Get Share Properties", containers.get_container, "rl", f"{_FILES}/read", container_sas=True
    ),
    ("DELETE", "share", ""): _of_container("Delete Share", containers.delete_container, "d", f"{_FILES}/delete"),
    ("PUT", "directory", ""): _of_file("Create Directory", shares.create_directory, "cw", "write"),
    ("GET", "directory", ""): _of_file("Get Directory Properties", shares.directory_properties, "r", "read"),
    ("DELETE", "directory", ""): _of_file("Delete Directory", shares.delete_directory, "d", "delete"),
    ("PUT", "directory", "metadata"): _of_file("Set Directory Metadata", shares.set_directory_metadata, "w", "write"),
    ("GET", "directory", "list"): _of_file("List Directories and Files", shares.list_directory, "l", "read"),
}
_FILE_OPERATIONS = {
    ("PUT", "", ""): _of_file("Create File", shares.create_file, "cw", "write"),
    ("PUT", "", "range"): _of_file("Put Range", shares.put_range, "w", "write"),
    ("PUT", "", "metadata"): _of_file("Set File Metadata", blob_writes.set_metadata, "w", "write"),
    ("GET", "", ""): _of_file("Get File", shares.get_file, "r", "read"),
    ("HEAD", "", ""): _of_file("Get File Properties", shares.file_properties, "r", "read"),
    ("DELETE", "", ""): _of_file("Delete File", shares.delete_file, "d", "delete"),
}


def route_file(request: Request) -> Operation:
    """The Files operation that a request asks for. Raises StorageError 501."""
    query, where = request.query, request.address
    restype, comp = query.get("restype", "").lower(), query.get("comp", "").lower()
    method = "GET" if request.method == "HEAD" and restype else request.method
    known = _SHARE_OPERATIONS if restype else _FILE_OPERATIONS
    found = known.get((method, restype, comp))
    if (method, restype, comp) == ("PUT", "", "") and "x-ms-copy-source" in request.headers:
        raise not_built("Copy File")
    if found is None or not where.container or not (where.blob or restype):
        raise not_built(
            f"The operation {request.method} restype='{restype[:40]}' comp='{comp[:40]}' of the Files service"
        )
    return found


def _blob_operation(request: Request, method: str, comp: str) -> Operation | None:
    if method == "PUT" and "x-ms-copy-source" in request.headers and comp in _COPIES and comp != "blob":
        return _COPIES["blob" if not comp and "x-ms-blob-type" in request.headers else comp]
    return _BLOB_OPERATIONS.get((method, comp))
