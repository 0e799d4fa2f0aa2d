"""What all versioned assets share: defaults, and that a version's content never changes once it is made."""

from __future__ import annotations

from lazulite.core import arm_id
from lazulite.core.errors import conflict, validation
from lazulite.model import asset_reference
from lazulite.model.asset_reference import BlobPlace, DatastorePlace, JobOutputPlace, Place
from lazulite.resources import places, registry_storage
from lazulite.resources.declaration import Reading, Write
from lazulite.resources.places import Location
from lazulite.store.resources import Json, Resource

_ADDRESSES = ("codeUri", "dataUri", "modelUri")


def prepare(write: Write, fixed: tuple[str, ...], spell: str) -> None:
    """Fill what clients read back, and refuse a change to any of the `fixed` properties.

    `spell` is the noun for messages. Raises ApiError 409 naming the property.
    """
    properties = write.properties
    for name in ("tags", "properties"):
        if properties.get(name) is None:
            properties[name] = {}
        if not isinstance(properties[name], dict):
            raise validation(f"properties.{name} must be an object of texts.", f"properties.{name}")
    properties["isArchived"] = write.archived
    properties["isAnonymous"] = bool(properties.get("isAnonymous", False))
    if write.existing is None:
        _require_access(write)
        return
    asset = write.id.rsplit("/", 3)[1]
    for name in fixed:
        before = write.existing.properties.get(name)
        if name not in properties or properties[name] is None:
            properties[name] = before
        elif before is not None and not _same(write, properties[name], before):
            raise conflict(
                f"{spell} '{asset}' has a version '{write.name}' already, with another {name}; a version's content "
                "never changes. Leave the version out to get the next one, or name a new one.",
                f"properties.{name}",
                code="VersionAlreadyExists",
            )


def follow(write: Write, name: str) -> None:
    """Replace an address that names a job's output by the datastore path behind it, which outlives the job.

    A path in a datastore is written with its workspace, which MLTable needs where it reads the asset's path.

    Raises ApiError 404 where there is no such job or output, and 400 where an asset of a registry has its files
    elsewhere, or an asset of a workspace names another one.
    """
    uri = write.properties.get(name)
    registry = arm_id.registry_of(write.id)
    if registry is not None:
        if isinstance(uri, str) and write.existing is None:
            registry_storage.check_address(write, registry, uri, f"properties.{name}")
    elif isinstance(uri, str) and isinstance(_place(uri), JobOutputPlace):
        found = _behind(write, uri, f"properties.{name}")
        write.properties[name] = found.uri
        write.properties.setdefault("jobName", found.of_job)
    elif isinstance(uri, str):
        if write.existing is None and asset_reference.is_asset(uri):
            text = f"{name} is '{uri}', which names an asset, and must be an address of files. Jobs take that asset by"
            raise validation(
                f"{text} its own name; to have a copy of it here, download its files.", f"properties.{name}"
            )
        write.properties[name] = _in_full(write, uri)


def follow_build(write: Write) -> None:
    """The same for the build context of a workspace's environment."""
    build = write.properties.get("build")
    uri = build.get("contextUri") if isinstance(build, dict) else None
    if isinstance(uri, str) and arm_id.registry_of(write.id) is None and isinstance(_place(uri), JobOutputPlace):
        write.properties["build"]["contextUri"] = _behind(write, uri, "properties.build.contextUri").uri


def _behind(write: Write, uri: str, target: str) -> Location:
    storage = write.services.storage
    return places.locate(write.connection, write.workspace, storage, uri, target=target, access=write.require)


def view(_reading: Reading, resource: Resource) -> Json:
    return {
        "description": None,
        **resource.properties,
        "isArchived": resource.archived,
        "provisioningState": "Succeeded",
    }


def _require_access(write: Write) -> None:
    """Whoever reads the asset reads its files: only who may read them may make it."""
    properties, home = write.properties, arm_id.asset_home(write.id)
    addresses = {f"properties.{name}": properties.get(name) for name in _ADDRESSES}
    build = properties.get("build")
    addresses["properties.build.contextUri"] = build.get("contextUri") if isinstance(build, dict) else None
    for target, uri in addresses.items():
        if isinstance(uri, str):
            places.require_access(write.connection, home, write.services.storage, uri, write.require, target=target)


def _same(write: Write, a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(write, a[key], b[key]) for key in a)
    if isinstance(a, str) and isinstance(b, str):
        return a.strip() == b.strip() or _same_place(write, a, b)
    return a == b


def _same_place(write: Write, a: str, b: str) -> bool:
    found = _known_place(write, a)
    return found is not None and found == _known_place(write, b)


def _known_place(write: Write, uri: str) -> tuple[str, str, str] | None:
    """A path in a datastore or in our storage, however it is written: a port may be another after a restart."""
    place = _place(uri)
    if isinstance(place, DatastorePlace):
        home = place.workspace or write.id.rsplit("/", 4)[0]
        return home.lower(), place.datastore, place.path.strip("/")
    if isinstance(place, BlobPlace):
        account = write.services.storage.own_account(place.account)
        return (account, place.container, place.path) if account else None
    return None


def _in_full(write: Write, uri: str) -> str:
    place = _place(uri)
    if isinstance(place, DatastorePlace) and place.workspace is None:
        return asset_reference.datastore_uri(write.workspace, place.datastore, place.path)
    return uri


def _place(uri: str) -> Place | None:
    try:
        return asset_reference.place(uri)
    except ValueError:
        return None
