"""Whether an earlier job did what a node is about to do: same component, code, environment, inputs and parameters."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core.clock import parse_iso
from lazulite.core.errors import ApiError
from lazulite.engine.jobs.record import JOBS
from lazulite.engine.pipelines.bind import Child, Context
from lazulite.model import job_status
from lazulite.model import pipeline_graph as graph
from lazulite.model.job_status import JobState
from lazulite.resources import places
from lazulite.store import resources
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource

_NAMES = ("name", "version", "display_name", "description", "tags", "_source", "$schema")
_OF_JOB = ("environmentVariables", "resources", "distribution", "identity", "outputs")
#: Of a sweep: they decide which trials there are. Other jobs have none of these but limits, which decide nothing.
_OF_SWEEP = ("searchSpace", "samplingAlgorithm", "objective", "limits", "earlyTermination")
_KINDS = ("command", "parallel", "data_transfer", "sweep")
#: Uploads whose path holds the hash of their content.
_HASHED = re.compile(r"(?:^|/)LocalUpload/[0-9a-f]{32,}/")
_FILES = 20_000
#: Where outputs lie that nobody chose a path for: no other job writes there.
_OF_ONE_RUN = re.compile(r"azureml://jobs/|.*/paths/azureml/([^/]+)/")


def is_allowed(context: Context) -> bool:
    """Nothing is reused that may come out otherwise, or where the author wants a fresh run."""
    forced = str(graph.field(context.settings, "force_rerun") or "").lower() == "true"
    fixed = str(context.spec.get("is_deterministic", True)).lower() != "false"
    return context.pinned["type"] in _KINDS and fixed and not forced


def key(
    c: Connection,
    workspace: str,
    storage: StorageLocator,
    mirror: Mapping[str, str],
    context: Context,
    child: Child,
    origins: Mapping[str, str],
) -> str | None:
    """The hash of all that decides the outcome. `origins` names what addresses of earlier steps' outputs are.

    None where an input is not of this machine: nobody can say whether it is the same.
    """
    found = {}
    for name, value in child.properties["inputs"].items():
        identity = _identity(c, workspace, storage, mirror, value, origins)
        if identity is None:
            return None
        found[name] = identity
    of_job = {**child.properties, **child.properties.get("trial", {})}
    document = {
        "component": {k: v for k, v in context.spec.items() if k not in (*_NAMES, "code", "environment")},
        "code": context.pinned.get("codeHash") or context.pinned.get("code"),
        "environment": context.pinned.get("environment"),
        "inputs": found,
        **{name: of_job.get(name) for name in _OF_JOB},
    }
    if "parallel" in child.resolved:  # its node has settings of its own
        document["parallel"] = [child.properties["command"], child.resolved["parallel"]]
    if "searchSpace" in child.properties:
        document["sweep"] = {n: v for n, v in child.properties.items() if n in _OF_SWEEP}
    if "transfer" in child.resolved:
        document["transfer"] = child.resolved["transfer"]
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).hexdigest()


def find(c: Connection, workspace: str, storage: StorageLocator, reuse_key: str) -> Resource | None:
    """The latest job of that key that completed, ran itself, and whose outputs are still there."""
    for row in reversed(resources.labelled(c, workspace, JOBS, reuse_key)):
        ran = row.state == JobState.COMPLETED and "reusedFrom" not in row.spec
        if ran and is_whole(c, workspace, storage, row):
            return row
    return None


def is_whole(c: Connection, workspace: str, storage: StorageLocator, job: Resource) -> bool:
    """Whether its outputs are still there as it left them: nobody has removed, added or written over a file since."""
    status = job_status.read(job.status)
    for output in status.outputs.values():
        try:
            path = _path(c, workspace, storage, output.uri)
        except ApiError:
            return False
        if path is None:
            continue
        changed = _changed_after(path, status.end_time)
        if changed or (changed is None and not _is_of_one_run(c, workspace, output.uri, job.name)):
            return False
    return True


def properties_of(original: Resource) -> dict[str, str]:
    """What a job that reuses another one says, where the SDK looks for it."""
    own = original.properties.get("properties") or {}
    return {
        "azureml.isreused": "true",
        "azureml.reusedrunid": original.name,
        "azureml.reusedpipelinerunid": str(own.get("azureml.pipelinerunid", "")),
    }


def _identity(
    c: Connection,
    workspace: str,
    storage: StorageLocator,
    mirror: Mapping[str, str],
    value: Json,
    origins: Mapping[str, str],
) -> object:
    if graph.is_literal(value):
        return ["literal", value.get("value")]
    uri, kind, mode = str(value["uri"]), value.get("jobInputType"), value.get("mode")
    origin = origins.get(uri)
    if origin is not None and (origin != uri or _is_of_one_run(c, workspace, uri)):
        return ["output", origin, kind, mode]
    where = places.locate(c, workspace, storage, uri, str(kind or "uri_folder"))
    if where.account is None or where.container is None:
        path = places.mirrored(mirror, where)
    else:
        path = storage.local_path(where.account, where.container, where.path)
    if _HASHED.search(where.path):
        return ["data", where.uri, kind, mode]
    if path is None:
        return None
    print_ = _fingerprint(path)
    return None if print_ is None else ["data", where.uri, kind, mode, print_]


def _is_of_one_run(c: Connection, workspace: str, uri: str, known: str | None = None) -> bool:
    """Whether nobody chose that place; `known` is the name of a job that there is."""
    found = _OF_ONE_RUN.match(uri)
    if found is None or found[1] is None or found[1] == known:
        return found is not None
    return resources.exists(c, f"{workspace}/jobs/{found[1]}")


def _path(c: Connection, workspace: str, storage: StorageLocator, uri: str) -> Path | None:
    where = places.locate(c, workspace, storage, uri)
    if where.account is None or where.container is None:
        return None
    return storage.local_path(where.account, where.container, where.path)


def _fingerprint(path: Path) -> str | None:
    """Names, sizes and times of the files; None for more than can be looked at in passing."""
    digest, count = hashlib.sha256(), 0
    files = [str(path)] if path.is_file() else _files(path)
    for file in files:
        count += 1
        if count > _FILES:
            return None
        try:
            found = os.lstat(file)
        except OSError:
            continue
        digest.update(f"{file}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _changed_after(path: Path, at: str | None) -> bool | None:
    """Whether something there was written, added or removed since; None where it is too much to look at."""
    limit = parse_iso(at).timestamp() if at else 0.0
    for count, place in enumerate(_places(path)):
        if count > _FILES:
            return None
        try:
            if _changed(os.lstat(place)) > limit:
                return True
        except OSError:
            return True
    return False


def _changed(found: os.stat_result) -> float:
    """When it was changed last. A further link to a file, as gathering makes one, changes nothing in it."""
    return found.st_mtime if stat.S_ISREG(found.st_mode) and found.st_nlink > 1 else found.st_ctime


def _places(path: Path) -> Iterator[str]:
    """The path, and everything below it."""
    yield str(path)
    for root, folders, names in os.walk(path):
        yield from (os.path.join(root, name) for name in (*folders, *names))


def _files(folder: Path) -> list[str]:
    found: list[str] = []
    for root, folders, names in os.walk(folder):
        folders.sort()
        found += [os.path.join(root, name) for name in sorted(names)]
        if len(found) > _FILES:
            break
    return found
