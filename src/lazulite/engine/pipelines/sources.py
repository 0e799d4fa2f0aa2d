"""The texts that choices and loops decide by: values of inputs and control outputs, and items that lie in a file."""

from __future__ import annotations

import os

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.paths import UnsafePath, open_file
from lazulite.engine.pipelines import births, children
from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_flow import Source
from lazulite.model.pipeline_graph import InputOf
from lazulite.resources import places
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource

_MAX_BYTES = 1024 * 1024


def text(c: Connection, storage: StorageLocator, pipeline: Resource, source: Source, job: str | None) -> str:
    """What a reference leads to; `job` is the one whose output it is. Raises ApiError where there is nothing."""
    if isinstance(source, InputOf):
        value: Json | None = (pipeline.properties.get("inputs") or {}).get(source.name)
        shown = f"the input '{source.name}'"
    else:
        row = children.read(c, arm_id.workspace_of(pipeline.id), [job or ""]).get(job or "")
        spec = births.spec_of(c, pipeline, source.node)
        value = births.result(c, storage, row, source.name, spec) if row is not None else None
        shown = f"the output '{source.name}' of '{source.node}'"
    if value is None:
        raise ApiError(400, "ValueMissing", f"There is no value for {shown}.")
    return str(value.get("value")) if graph.is_literal(value) else _content(c, storage, pipeline, value, shown)


def _content(c: Connection, storage: StorageLocator, pipeline: Resource, value: Json, shown: str) -> str:
    uri, kind = str(value["uri"]), str(value.get("jobInputType") or "uri_file")
    where = places.locate(c, arm_id.workspace_of(pipeline.id), storage, uri, kind)
    try:
        local = where.account and where.container and storage.local_path(where.account, where.container, where.path)
    except UnsafePath as error:
        raise ApiError(400, "UserError/InvalidPath", f"{error}") from None
    try:
        with os.fdopen(open_file(local or ""), "rb") as file:
            found = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, UnsafePath):
        text = f"{shown.capitalize()} is not a file of this machine ('{uri}')."
        raise ApiError(400, "ItemsNotReadable", text) from None
    if len(found) > _MAX_BYTES:
        raise ApiError(400, "ItemsTooLong", f"{shown.capitalize()} is longer than {_MAX_BYTES} bytes.")
    return found.decode(errors="replace")
