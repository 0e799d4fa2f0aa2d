"""The ways in which clients name assets and the places of data, taken apart. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from lazulite.core import arm_id


@dataclass(frozen=True, slots=True)
class AssetReference:
    """An asset by name and version or label; `registry` (a name) or `workspace` (an ARM id) where it is said."""

    name: str
    version: str | None = None
    label: str | None = None
    registry: str | None = None
    workspace: str | None = None


@dataclass(frozen=True, slots=True)
class DatastorePlace:
    """`path` in a datastore of `workspace` (an ARM id; None is the workspace at hand)."""

    datastore: str
    path: str
    workspace: str | None = None


@dataclass(frozen=True, slots=True)
class JobOutputPlace:
    """`path` below an output of a job; the outputs `default` and `artifacts` are the run's own artifacts.

    `workspace` is an ARM id; None is the workspace at hand.
    """

    job: str
    output: str
    path: str
    workspace: str | None = None


@dataclass(frozen=True, slots=True)
class BlobPlace:
    """A blob or folder in a storage account, by the name that stood in the address."""

    account: str
    container: str
    path: str
    url: str


@dataclass(frozen=True, slots=True)
class WebPlace:
    """Anything else behind http(s)."""

    url: str


Place = DatastorePlace | JobOutputPlace | BlobPlace | WebPlace

_ARM_LEAD = r"(?:subscriptions/[^/]+/resourcegroups/[^/]+/providers/[^/]+/)?"
_REGISTRY = re.compile(rf"^(?:azureml:)?/{{0,2}}{_ARM_LEAD}registries/([^/]+)/", re.IGNORECASE)
_SAYS_VERSION = re.compile(r"(?:/versions/|^[^:/]+:)([^:/@]+)/?$")
_DATA = re.compile(r"/(?:data|models)/[^/]+/(?:versions|labels)/[^/]+/?$")
_PLACE = re.compile(r"^azureml://(?:subscriptions/.*?/workspaces/[^/]+/)?(?:datastores|jobs)/", re.IGNORECASE)
_VERSIONED = re.compile(r"^(?P<name>[^:@/]+)(?::(?P<version>[^:@/]+)|@(?P<label>[^:@/]+))?$")
_BLOB_HOST = re.compile(r"^(?P<account>.+?)\.(?:blob|dfs|file)\.[^/]+$")
_PATH_STYLE = re.compile(r"^(?P<account>[^/]+/storage/v1/[^/]+)/_?\.(?:blob|dfs|file)\.[^/]+/(?P<rest>.*)$")
_CUT_STYLE = re.compile(r"^(?P<account>[^/]+/storage/v1/[^/]+)/(?P<rest>.*)$")
_AUTHORITY = re.compile(r"^(?P<container>[^@/]+)@(?P<account>[^/]+?)\.(?:blob|dfs)\.[^/]+$")


def asset(text: str, collection: str) -> AssetReference:
    """Take apart a reference to an asset of a collection (`environments`, `data`, ...). Raises ValueError."""
    rest = text.strip()
    if rest.startswith("azureml://"):
        return _from_path(rest.removeprefix("azureml://"), collection, text)
    rest = rest.removeprefix("azureml:")
    if rest.lower().startswith(("/subscriptions/", "subscriptions/", "//subscriptions/")):
        return _from_path(rest.strip("/"), collection, text)
    match = _VERSIONED.match(rest)
    if not match:
        raise ValueError(f"'{text}' is no reference to an asset: azureml:<name>:<version> or azureml:<name>@latest")
    return AssetReference(match["name"], match["version"], match["label"])


def is_asset(text: str) -> bool:
    """Whether the text names an asset rather than a place."""
    if text.startswith("azureml://"):
        return of_registry(text) is not None or (bool(_DATA.search(text)) and not _PLACE.match(text))
    if text.startswith(("azureml:", "/subscriptions/", "subscriptions/")):
        return True
    return "://" not in text and not text.startswith("runs:/") and bool(_VERSIONED.match(text))


def names_version(text: str) -> bool:
    """Whether a reference to an asset means the same version for ever; the others mean the latest one there is."""
    version = _SAYS_VERSION.search(text.strip().removeprefix("azureml:"))
    return version is not None and version[1].lower() != "latest"


def of_registry(text: str) -> str | None:
    """The name of the registry that a text names something of."""
    found = _REGISTRY.match(text)
    return found[1] if found else None


def spelled(id_: str) -> str:
    """How clients name an asset of that ARM id: assets of registries have a form of their own."""
    found = arm_id.parse(id_)
    if found.registry is None:
        return id_
    below = "".join(f"/{type_}/{name}" for type_, name in zip(found.types[1:], found.names[1:], strict=True))
    return f"azureml://registries/{found.registry}{below}"


def place(text: str) -> Place:
    """Take apart the address of data. Raises ValueError naming the forms there are."""
    if any(letter in text for letter in "\t\r\n"):  # what reads addresses drops them, and finds another name
        raise ValueError(f"{text!r} has a tab or a line break in it, which no address of data has")
    scheme = text.partition(":")[0].lower()
    if text.startswith("azureml://"):
        return _azureml_place(text)
    if scheme == "runs":
        run, _, path = text.partition(":")[2].strip("/").partition("/")
        if run:
            return JobOutputPlace(run, "artifacts", path)
    if scheme in ("http", "https"):
        return _web_place(text)
    if scheme in ("wasb", "wasbs", "abfs", "abfss"):
        parts = urlsplit(text)
        match = _AUTHORITY.match(parts.netloc)
        if match:
            return BlobPlace(match["account"], match["container"], unquote(parts.path).strip("/"), text)
    raise ValueError(
        f"'{text}' is no address of data that is known here: azureml://datastores/<name>/paths/<path>, "
        "azureml:<name>:<version>, https://..., wasbs://... or abfss://..."
    )


def overlap(a: str, b: str) -> bool:
    """Whether two paths in a datastore are one, or one lies below the other; an expression ends what is compared."""
    places = []
    for text in (a, b):
        try:
            found = place(text.partition("${{")[0])
        except ValueError:
            return False
        if not isinstance(found, DatastorePlace):
            return False
        places.append((found.datastore.lower(), [part for part in found.path.split("/") if part]))
    (store, one), (other_store, other) = places
    shorter = min(len(one), len(other))
    return store == other_store and one[:shorter] == other[:shorter]


def datastore_uri(workspace: str, datastore: str, path: str) -> str:
    """The long form: `azureml://subscriptions/.../workspaces/w/datastores/d/paths/p`."""
    found = arm_id.parse(workspace)
    return (
        f"azureml://subscriptions/{found.subscription}/resourcegroups/{found.resource_group}"
        f"/workspaces/{found.name}/datastores/{datastore}/paths/{path}"
    )


def _from_path(path: str, collection: str, text: str) -> AssetReference:
    """`<where>/<collection>/<name>[/versions|labels/<x>]` of a workspace, a registry or a location."""
    parts = path.strip("/").split("/")
    lowered = [part.lower() for part in parts]
    workspace = None
    registry = of_registry(path.strip("/"))
    if registry is None and lowered[0] == "subscriptions":
        workspace = _workspace(parts, lowered)
    start = _last_index(lowered, collection.lower())
    if start is None or start + 1 >= len(parts):
        raise ValueError(f"'{text}' does not name one of the {collection}")
    name, rest = parts[start + 1].removeprefix("azureml:"), parts[start + 2 :]
    kind = rest[0].lower() if rest else None
    if ":" in name or "@" in name:
        version = "/versions/<version>" if ":" in name else "/labels/<label>"
        raise ValueError(f"'{text}' must say after the name which one is meant: {re.split('[:@]', name)[0]}{version}")
    if kind not in (None, "versions", "labels") or len(rest) not in (0, 2):
        raise ValueError(f"'{text}' goes on after the name with '{'/'.join(rest)}': /versions/<v> or /labels/<l>")
    return AssetReference(
        name,
        version=rest[1] if kind == "versions" else None,
        label=rest[1] if kind == "labels" else None,
        registry=registry,
        workspace=workspace,
    )


def _workspace(parts: list[str], lowered: list[str]) -> str | None:
    """The ARM id of `subscriptions/s/resourcegroups/g[/providers/p]/workspaces/w/...`; None for anything else."""
    at = 6 if lowered[4:5] == ["providers"] else 4
    if lowered[2:3] != ["resourcegroups"] or lowered[at : at + 1] != ["workspaces"] or len(parts) < at + 2:
        return None
    return arm_id.workspace_id(parts[1], parts[3], parts[at + 1])


def _last_index(parts: list[str], wanted: str) -> int | None:
    """Where the collection stands: the last time it is followed by a name, and, given it, a version or label."""
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == wanted and (index + 2 >= len(parts) or parts[index + 2] in ("versions", "labels")):
            return index
    return None


def _azureml_place(text: str) -> Place:
    path = text.removeprefix("azureml://")
    job = re.match(r"^(subscriptions/.*?/workspaces/[^/]+/)?jobs/([^/]+)/outputs/([^/]+)(?:/paths)?/?(.*)$", path, re.I)
    if job:
        return JobOutputPlace(job[2], job[3], job[4], _of_lead(job[1]))
    store = re.match(
        r"^(?P<ws>subscriptions/.*?/workspaces/[^/]+/)?datastores/(?P<ds>[^/]+)(?:/paths)?/?(?P<p>.*)$", path, re.I
    )
    if store:
        return DatastorePlace(store["ds"], store["p"], _of_lead(store["ws"]))
    raise ValueError(
        f"'{text}' is no address of data: azureml://datastores/<name>/paths/<path> or "
        "azureml://jobs/<job>/outputs/<output>/paths/<path>"
    )


def _of_lead(lead: str | None) -> str | None:
    parts = (lead or "").strip("/").split("/")
    return _workspace(parts, [part.lower() for part in parts]) if lead else None


def _web_place(text: str) -> Place:
    parts = urlsplit(text)
    whole = f"{parts.netloc}{parts.path}"
    match = _PATH_STYLE.match(whole)
    if match:
        return _blob(f"{match['account']}/_", match["rest"], text)
    match = _CUT_STYLE.match(whole)
    if match:
        return _blob(f"{match['account']}/_", match["rest"], text)
    host = _BLOB_HOST.match(parts.netloc)
    if host:
        return _blob(host["account"], parts.path.lstrip("/"), text)
    return WebPlace(text)


def _blob(account: str, rest: str, url: str) -> Place:
    container, _, path = unquote(rest).partition("/")
    return BlobPlace(account, container, path.strip("/") if path != "/" else "", url) if container else WebPlace(url)
