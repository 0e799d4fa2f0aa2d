"""The rows of a table as pandas DataFrames: the readers and transformations of an MLTable file."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import table_file
from .settings import InputError
from .table_file import Table

if TYPE_CHECKING:
    from .cuts import Piece

_ENCODINGS = {"utf8bom": "utf-8-sig", "iso88591": "latin-1", "windows1252": "cp1252"}
_TYPES = {"int": "Int64", "float": "float64", "string": "object"}


def load(table: Table, pieces: list[Piece]) -> Any:
    """The rows of the pieces as one DataFrame. Raises InputError."""
    pandas = _pandas()
    if pieces[0].stored:
        return pandas.read_pickle(pieces[0].path).reset_index(drop=True)
    frames = [_transformed(table, _read(table, piece, table.first), piece.path) for piece in pieces]
    return frames[0] if len(frames) == 1 else pandas.concat(frames, ignore_index=True)


def whole(table: Table) -> Any:
    """The whole table, all of its transformations done. Raises InputError for one that nothing here can do."""
    unknown = [name for name, _ in table.steps if name not in _STEPS and name not in table_file.READERS]
    if unknown or table.remote:
        return _by_mltable(table, unknown[0] if unknown else str(table.remote))
    from .cuts import Piece

    pandas, files = _pandas(), table.files()
    frame = pandas.concat([_read(table, Piece(path), files[0], path_column=True) for path in files], ignore_index=True)
    paths = frame.pop(_SOURCE)
    for name, options in table.steps:
        if name in _STEPS:
            frame = _STEPS[name](table, frame, options, paths)
    return frame.reset_index(drop=True)


def has_header(table: Table, path: str, first: str) -> bool:
    """Whether that file begins with the names of the columns."""
    if table.reader != "read_delimited":
        return False
    kind = str((table.option("read_delimited") or {}).get("header", "all_files_same_headers"))
    return kind != "no_header" and (kind != "from_first_file" or path == first)


def parquet(path: str) -> Any:
    """The opened file. Raises InputError."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"ModuleNotFoundError: No module named 'pyarrow' (to read {path})") from error
    return pyarrow.parquet.ParquetFile(path)


#: The column in which `whole` keeps from which file a row came, until the end.
_SOURCE = "\0path"


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        message = f"{type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError):
            message = "ModuleNotFoundError: No module named 'pandas' (tabular mini-batches are DataFrames of pandas)"
        raise InputError(message) from error
    return pandas


def _read(table: Table, piece: Piece, first: str, path_column: bool = False) -> Any:
    reader = str(table.reader)
    options = table.option(reader) or {}
    readers: dict[str, Callable[..., Any]] = {
        "read_delimited": lambda: _delimited(table, piece, first, options),
        "read_json_lines": lambda: _json_lines(piece, options),
        "read_parquet": lambda: _parquet_rows(piece),
    }
    frame = readers[reader]()
    if options.get("include_path_column"):
        frame.insert(0, "Path", piece.path)
    if path_column:
        frame[_SOURCE] = piece.path
    return frame


def _delimited(table: Table, piece: Piece, first: str, options: dict[str, Any]) -> Any:
    pandas = _pandas()
    kind = str(options.get("header", "all_files_same_headers"))
    settings: dict[str, Any] = {
        "sep": options.get("delimiter", ","),
        "encoding": _encoding(options),
        "header": 0 if kind != "no_header" else None,
        "keep_default_na": not options.get("empty_as_string"),
    }
    if options.get("infer_column_types") is False:
        settings["dtype"] = str
    if kind != "no_header" and not (piece.end is None and has_header(table, piece.path, first)):
        named = piece.path if kind == "all_files_different_headers" else first
        settings["names"] = _columns(named, tuple(settings.items()))
        settings["header"] = None
    frame = pandas.read_csv(piece.path if piece.end is None else io.BytesIO(_bytes(piece)), **settings)
    if kind == "no_header":
        frame.columns = [f"Column{number + 1}" for number in range(len(frame.columns))]
    return frame


@functools.lru_cache(maxsize=1)
def _columns(path: str, settings: tuple[tuple[str, Any], ...]) -> list[str]:
    """The names at a file's beginning. Pieces that follow each other have the same ones."""
    return list(_pandas().read_csv(path, nrows=0, **dict(settings)).columns)


def _json_lines(piece: Piece, options: dict[str, Any]) -> Any:
    import json

    pandas = _pandas()
    if piece.end is None:
        with pandas.io.common.get_handle(piece.path, "rb", compression="infer", is_text=False) as handle:
            data = handle.handle.read()
    else:
        data = _bytes(piece)
    records = []
    for line in data.decode(_encoding(options)).split("\n"):  # other ends of lines may stand in a text
        if not line.strip():
            continue
        try:
            records.append(json.loads(line))
        except ValueError:
            if str(options.get("invalid_lines", "error")) != "drop":
                raise InputError(f"{piece.path} has a line that is not JSON: {line[:200]}") from None
    return pandas.DataFrame(records)


def _parquet_rows(piece: Piece) -> Any:
    """Only the row groups that the piece touches are read."""
    file = parquet(piece.path)
    if piece.end is None:
        return file.read().to_pandas()
    groups, skipped, at = [], 0, 0
    for number in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(number).num_rows
        if at < piece.end and at + count > piece.start:
            groups.append(number)
        elif at + count <= piece.start:
            skipped = at + count
        at += count
    table = file.read_row_groups(groups).slice(piece.start - skipped, piece.end - piece.start)
    return table.to_pandas()


def _encoding(options: dict[str, Any]) -> str:
    given = str(options.get("encoding") or "utf8").lower()
    return _ENCODINGS.get(given, given)


def _bytes(piece: Piece) -> bytes:
    assert piece.end is not None
    with open(piece.path, "rb") as file:
        file.seek(piece.start)
        return file.read(piece.end - piece.start)


def _transformed(table: Table, frame: Any, path: str) -> Any:
    paths = _pandas().Series([path] * len(frame), index=frame.index)
    for name, options in table.steps:
        if name in _STEPS:
            frame = _STEPS[name](table, frame, options, paths)
    return frame


def _names(options: Any) -> list[str]:
    return [options] if isinstance(options, str) else [str(name) for name in options]


def _keep(table: Table, frame: Any, options: Any, paths: Any) -> Any:
    return frame[_names(options)]


def _drop(table: Table, frame: Any, options: Any, paths: Any) -> Any:
    return frame.drop(columns=_names(options), errors="ignore")


def _partition(table: Table, frame: Any, options: Any, paths: Any) -> Any:
    """Columns of what the rows' path says."""
    known = {
        path: table_file.partition(os.path.relpath(path, table.folder), options["partition_format"])
        for path in set(paths)
    }
    frame = frame.copy()
    for name in next(iter(known.values()), {}):
        frame[name] = [known[path][name] for path in paths.loc[frame.index]]
    return frame


def _take(table: Table, frame: Any, options: Any, paths: Any) -> Any:
    return frame.head(int(options))


def _skip(table: Table, frame: Any, options: Any, paths: Any) -> Any:
    return frame.iloc[int(options) :]


def _convert(table: Table, frame: Any, options: Any, paths: Any) -> Any:
    frame = frame.copy()
    for rule in options:
        kind, more = _type(rule["column_type"])
        for name in _names(rule["columns"]):
            frame[name] = _converted(frame[name], kind, more)
    return frame


def _type(given: Any) -> tuple[str, dict[str, Any]]:
    if isinstance(given, dict):
        kind, more = next(iter(given.items()))
        return str(kind), more or {}
    return str(given), {}


def _converted(column: Any, kind: str, more: dict[str, Any]) -> Any:
    pandas = _pandas()
    if kind == "datetime":
        formats = more.get("formats")
        return pandas.to_datetime(column, format=_names(formats)[0] if formats else None)
    if kind == "boolean":
        true = [str(value) for value in more.get("true_values") or ("True", "true", "1")]
        return column.map(lambda value: str(value) in true)
    if kind not in _TYPES:
        raise InputError(f"The MLTable file converts the column '{column.name}' to '{kind}', which is not built.")
    if kind == "string":
        return column.map(lambda value: value if pandas.isna(value) else str(value))
    numbers = pandas.to_numeric(column)
    return numbers.astype("int64" if kind == "int" and not numbers.isna().any() else _TYPES[kind])


def _by_mltable(table: Table, why: str) -> Any:
    """What only Azure's own package can read."""
    try:
        import mltable
    except ImportError as error:
        hint = f"The MLTable file asks for '{why}', which takes the package mltable (with azureml-dataprep[pandas])"
        raise InputError(f"{hint}.\nModuleNotFoundError: No module named 'mltable'") from error
    return mltable.load(table.folder).to_pandas_dataframe()


_STEPS: dict[str, Callable[[Table, Any, Any, Any], Any]] = {
    "keep_columns": _keep,
    "drop_columns": _drop,
    "extract_columns_from_partition_format": _partition,
    "take": _take,
    "skip": _skip,
    "convert_column_types": _convert,
}
