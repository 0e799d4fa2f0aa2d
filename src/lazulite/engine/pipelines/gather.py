"""The outputs of a loop over items, put together: values as a list in JSON, data as a folder with an MLTable file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
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
    """A folder per item with hard links to its files, and last the table that lists them."""
    lines = ["type: mltable", "paths:" if sources else "paths: []"]
    for number, source in enumerate(sources):
        target = folder / str(number)
        if source.is_file():
            target.mkdir(parents=True, exist_ok=True)
            _link_file(source, target / source.name)
            lines.append(f"- file: {json.dumps(f'./{number}/{source.name}')}")
            continue
        target.mkdir(parents=True, exist_ok=True)
        for root, _, files in os.walk(source):
            inner = target / Path(root).relative_to(source)
            inner.mkdir(parents=True, exist_ok=True)
            for file in files:
                _link_file(Path(root) / file, inner / file)
        lines.append(f"- folder: ./{number}")
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{_TABLE}.part"
    partial.write_text("\n".join(lines) + "\n")
    partial.replace(folder / _TABLE)


def _link_file(source: Path, target: Path) -> None:
    if target.exists():
        return  # from an earlier try
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
