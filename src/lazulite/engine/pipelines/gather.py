"""The outputs of a loop over items, put together: values as a list in JSON, data as a folder with an MLTable file."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.paths import path_beneath
from lazulite.engine.jobs import controls
from lazulite.engine.jobs.facts import output_location
from lazulite.model import job_status
from lazulite.model import pipeline_graph as graph
from lazulite.model.job_status import JobOutput
from lazulite.resources import places
from lazulite.resources.places import Location
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource

_TABLE = "MLTable"


def output(
    c: Connection,
    storage: StorageLocator,
    pipeline: Resource,
    loop: str,
    name: str,
    rows: Sequence[Resource],
    spec: Json,
) -> JobOutput:
    """An output of all steps of a loop, in the order of its items; `spec` is that of the component that they ran.

    Data is linked beneath the pipeline's own folder, a folder per item, where it has not been yet. Raises ApiError.
    """
    declared = (spec.get("outputs") or {}).get(name) or {}
    kind = str(declared.get("type") or "uri_folder").lower()
    found = [job_status.read(row.status).outputs.get(name) for row in rows]
    if any(one is None for one in found):
        raise ApiError(400, "OutputMissing", f"A step of the loop '{loop}' has no output '{name}'.")
    outputs = [one for one in found if one is not None]
    if kind in graph.PRIMITIVES:
        texts = [
            one.value if one.value is not None else controls.read(c, storage, row, name, one.uri)
            for row, one in zip(rows, outputs, strict=True)
        ]
        return JobOutput("", "string", value=json.dumps([_typed(text, kind) for text in texts]))
    where = _place(c, storage, pipeline, loop, name)
    folder = _local(storage, where, loop)
    if not (folder / _TABLE).exists():
        sources = [_local(storage, _located(c, storage, pipeline, one.uri), loop) for one in outputs]
        _link(folder, sources)
    return JobOutput(where.uri, "mltable")


def _typed(text: str, kind: str) -> object:
    if kind == "boolean":
        return text.lower() == "true"
    if kind == "integer":
        return int(float(text))
    return float(text) if kind == "number" else text


def _place(c: Connection, storage: StorageLocator, pipeline: Resource, loop: str, name: str) -> Location:
    """Where the pipeline's author wants the output that it is bound to, else the default datastore."""
    sent = (pipeline.properties["jobs"][loop].get("outputs") or {}).get(name)
    bound = graph.whole(sent.get("value") or graph.field(sent, "uri")) if isinstance(sent, dict) else None
    chosen = {}
    if isinstance(bound, graph.WrittenTo):
        chosen = {"uri": ((pipeline.properties.get("outputs") or {}).get(bound.name) or {}).get("uri")}
    settings = pipeline.properties.get("settings") or {}
    store = str(graph.field(settings, "default_datastore") or "").rsplit("/", 1)[-1].removeprefix("azureml:")
    workspace = arm_id.workspace_of(pipeline.id)
    return output_location(c, workspace, storage, pipeline.name, f"{loop}.{name}", chosen, store or None)


def _located(c: Connection, storage: StorageLocator, pipeline: Resource, uri: str) -> Location:
    return places.locate(c, arm_id.workspace_of(pipeline.id), storage, uri)


def _local(storage: StorageLocator, where: Location, loop: str) -> Path:
    path = storage.local_path(where.account, where.container, where.path) if where.account and where.container else None
    if path is None:
        text = f"The outputs of the loop '{loop}' lie at '{where.uri}'; only those in plain folders can be gathered."
        raise ApiError(501, "NotImplemented", text)
    return path


def _link(folder: Path, sources: Sequence[Path]) -> None:
    """A folder per item with hard links to its files, and last the table that lists them.

    Jobs may write there too: no link is followed, neither of theirs nor of the folder's. Raises UnsafePath.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["type: mltable", "paths:" if sources else "paths: []"]
    for number, source in enumerate(sources):
        if source.is_file():
            _link_file(source, _inside(folder, str(number)) / source.name)
            lines.append(f"- file: {json.dumps(f'./{number}/{source.name}')}")
            continue
        for root, _, names in os.walk(source):
            inner = _inside(folder, str(number), *Path(root).relative_to(source).parts)
            for name in names:
                _link_file(Path(root) / name, inner / name)
        lines.append(f"- folder: ./{number}")
    aside = folder / f".lazulite-{secrets.token_hex(16)}.part"  # a name that cannot be guessed
    with aside.open("x") as file:
        file.write("\n".join(lines) + "\n")
    aside.replace(folder / _TABLE)


def _inside(folder: Path, *below: str) -> Path:
    """The folder of these names below another one, made where it is missing."""
    found = path_beneath(folder, "/".join(below))
    found.mkdir(parents=True, exist_ok=True)
    return found


def _link_file(source: Path, target: Path) -> None:
    if source.is_symlink() or target.exists():
        return  # the latter from an earlier try
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target, follow_symlinks=False)
