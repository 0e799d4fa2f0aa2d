"""An input cut into mini-batches: so many files, so many bytes of a table, or what has the same keys."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from . import cuts, table_file
from .cuts import Piece
from .settings import InputError, Settings
from .table_file import Table


@dataclass
class Batch:
    """A mini-batch: `files` go to `run` as they are, `pieces` as one DataFrame."""

    number: int
    files: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    key: dict[str, Any] | None = None
    """What its partition keys are."""


@dataclass
class Division:
    """All mini-batches. `table` says how rows are read; None where the mini-batches are lists of files."""

    batches: list[Batch]
    table: Table | None = None
    description: str = ""


def divide(settings: Settings) -> Division:
    """Raises InputError for an input that is empty, cannot be read, or lacks the partition keys."""
    if not os.path.exists(settings.data):
        raise InputError(f"There is nothing at the input's path {settings.data}.")
    table = table_file.read(settings.data) if settings.is_table else None
    if table is not None and table.has_rows and not settings.as_files:
        return _of_rows(settings, table)
    files = table.files() if table is not None else table_file.files_below(settings.data)
    if not files:
        raise InputError("The input holds no file: there are no mini-batches to run.")
    if settings.partition_keys:
        groups = _grouped(settings, table, files)
        batches = [Batch(number, files=group.files, key=group.key) for number, group in enumerate(groups)]
        return Division(batches, None, f"{len(files)} files by {', '.join(settings.partition_keys)}")
    size = settings.files_per_batch
    batches = [Batch(at // size, files=files[at : at + size]) for at in range(0, len(files), size)]
    return Division(batches, None, f"{len(files)} files, {size} in a mini-batch")


def _of_rows(settings: Settings, table: Table) -> Division:
    whole = cuts.as_whole(table)
    if whole:
        batches = [Batch(n, pieces=[piece], key=key) for n, (piece, key) in enumerate(cuts.stored(settings, table))]
        return Division(_some(batches), table, f"a table that is read whole, because of {whole}")
    files = table.files()
    table.first = files[0]
    if settings.partition_keys:
        groups = _grouped(settings, table, files)
        batches = [Batch(n, pieces=[Piece(file) for file in g.files], key=g.key) for n, g in enumerate(groups)]
        return Division(_some(batches), table, f"{len(files)} files of a table by {', '.join(settings.partition_keys)}")
    batches = [Batch(number, pieces=[piece]) for number, piece in enumerate(cuts.pieces(settings, table, files))]
    text = f"{len(files)} files of a table, of each at most about {settings.bytes_per_batch} bytes in a mini-batch"
    return Division(_some(batches), table, text)


def _some(batches: list[Batch]) -> list[Batch]:
    if not batches:
        raise InputError("The table has no rows: there are no mini-batches to run.")
    return batches


@dataclass
class _Group:
    key: dict[str, Any]
    files: list[str] = field(default_factory=list)


def _grouped(settings: Settings, table: Table | None, files: list[str]) -> list[_Group]:
    """Files by the values of the partition keys in their paths, in the order of the paths."""
    root = table.folder if table is not None else settings.data
    options = table.option("extract_columns_from_partition_format") if table is not None else None
    groups: dict[Any, _Group] = {}
    for file in files:
        path = os.path.relpath(file, root).replace(os.sep, "/")
        values = table_file.partition(path, options["partition_format"]) if options else table_file.named_folders(path)
        missing = [name for name in settings.partition_keys if name not in values]
        if missing:
            known = ", ".join(values) or "none"
            raise InputError(
                f"The partition key '{missing[0]}' is not in the path '{path}' (keys there: {known}). Partition keys "
                "are keys of the MLTable's partition_format, or folders such as key=value."
            )
        key = {name: values[name] for name in settings.partition_keys}
        groups.setdefault(tuple(key.values()), _Group(key)).files.append(file)
    return list(groups.values())
