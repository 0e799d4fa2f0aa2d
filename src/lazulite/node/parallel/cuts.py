"""Where the files of a table are cut: text between lines, Parquet between rows; what cannot be cut is read whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import rows
from .settings import InputError, Settings
from .table_file import READERS, Table

#: Steps that look at one row, or file, at a time; every other one needs the table whole.
_BY_ROW = (*READERS, "extract_columns_from_partition_format", "keep_columns", "drop_columns", "convert_column_types")
_WIDE = ("utf16", "utf-16", "utf32", "utf-32")
_PACKED = (".gz", ".bz2", ".xz", ".zip")


@dataclass
class Piece:
    """A part of a file: bytes of a text, rows of a Parquet file; all of it where `end` is None."""

    path: str
    start: int = 0
    end: int | None = None
    stored: bool = False
    """The file is a DataFrame that `stored` wrote."""


def as_whole(table: Table) -> str | None:
    """Why the table cannot be cut before it is read; None where it can."""
    if table.remote:
        return table.remote
    return next((name for name, _ in table.steps if name not in _BY_ROW), None)


def pieces(settings: Settings, table: Table, files: list[str]) -> Iterator[Piece]:
    """Pieces of about the mini-batches' size, in the order of the rows."""
    for path in files:
        if table.reader == "read_parquet":
            yield from _of_parquet(path, settings.bytes_per_batch)
        elif _is_one(path, table):
            yield Piece(path)
        else:
            has_header = rows.has_header(table, path, files[0])
            yield from _of_text(path, settings.bytes_per_batch, has_header)


def stored(settings: Settings, table: Table) -> Iterator[tuple[Piece, dict[str, Any] | None]]:
    """The table read whole and written in parts, one a mini-batch, each with its keys."""
    whole = rows.whole(table)
    folder = tempfile.mkdtemp(prefix="mini-batches-")
    for number, (key, part) in enumerate(_parts(settings, whole)):
        path = os.path.join(folder, str(number))
        part.to_pickle(path)
        yield Piece(path, stored=True), key


def _parts(settings: Settings, whole: Any) -> Iterator[tuple[dict[str, Any] | None, Any]]:
    if settings.partition_keys:
        missing = [name for name in settings.partition_keys if name not in whole.columns]
        if missing:
            raise InputError(f"The table has no column '{missing[0]}', which is a partition key.")
        keys = settings.partition_keys if len(settings.partition_keys) > 1 else settings.partition_keys[0]
        for _, part in whole.groupby(keys, sort=True, dropna=False):
            yield {name: part[name].iloc[0] for name in settings.partition_keys}, part
        return
    each = max(1, int(whole.memory_usage(index=False, deep=True).sum()) // max(1, len(whole)))
    count = max(1, settings.bytes_per_batch // each)
    for at in range(0, len(whole), count):
        yield None, whole.iloc[at : at + count]


def _is_one(path: str, table: Table) -> bool:
    """Nobody can tell where a line of it ends without reading it from its beginning."""
    options = table.option("read_delimited") or table.option("read_json_lines") or {}
    wide = str(options.get("encoding", "")).lower() in _WIDE
    return wide or bool(options.get("support_multi_line")) or path.endswith(_PACKED)


def _of_text(path: str, size: int, has_header: bool) -> Iterator[Piece]:
    total = os.path.getsize(path)
    with open(path, "rb") as file:
        if has_header:
            file.readline()
        start = file.tell()
        while start < total:
            file.seek(start + size - 1)
            file.readline()
            end = min(file.tell(), total)
            yield Piece(path, start, end)
            start = end


def _of_parquet(path: str, size: int) -> Iterator[Piece]:
    count = rows.parquet(path).metadata.num_rows
    each = max(1, os.path.getsize(path) // max(1, count))
    step = max(1, size // each)
    for start in range(0, count, step):
        end = min(start + step, count)
        yield Piece(path, start, end)
