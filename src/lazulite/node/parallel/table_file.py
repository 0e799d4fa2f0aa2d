"""The MLTable file of an input: which files the table has, and how their rows are read."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .settings import InputError

NAME = "MLTable"
_DATES = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_REMOTE = re.compile(r"^(?!file:)[A-Za-z][A-Za-z0-9+.-]*:/")
_PLACE = re.compile(r"\{([^{}:]+)(?::([^{}]+))?\}|\*")
#: What reads rows; a table without one of them is a list of files.
READERS = ("read_delimited", "read_parquet", "read_json_lines")


@dataclass
class Table:
    folder: str
    paths: list[dict[str, str]]
    steps: list[tuple[str, Any]]
    """The transformations in their order: name and options."""
    first: str = ""
    """Its first file, once the table was cut."""

    @property
    def has_rows(self) -> bool:
        return any(name.startswith("read_") for name, _ in self.steps)

    @property
    def reader(self) -> str | None:
        """What reads its rows, of `READERS`."""
        return next((name for name, _ in self.steps if name in READERS), None)

    @property
    def remote(self) -> str | None:
        """A path of the table that is an address."""
        found = (path for entry in self.paths for path in entry.values() if _REMOTE.match(path))
        return next(found, None)

    def files(self) -> list[str]:
        """Every file, in the order of the paths. Raises InputError where a path leads to nothing."""
        if self.remote:
            raise InputError(
                f"The MLTable file names {self.remote}: only paths beside it are read here. Give the data as paths "
                "relative to the MLTable file."
            )
        return [file for entry in self.paths for file in self._files(entry)]

    def option(self, step: str) -> Any:
        """The options of the first step of that name; None where there is no such step."""
        return next((options for name, options in self.steps if name == step), None)

    def _files(self, entry: dict[str, str]) -> Iterator[str]:
        kind, given = next(iter(entry.items()))
        path = os.path.join(self.folder, given[len("file://") :] if given.startswith("file://") else given)
        if kind == "pattern":
            found = sorted(name for name in glob.glob(path, recursive=True) if os.path.isfile(name))
        elif kind == "folder":
            found = files_below(path)
        else:
            found = [path] if os.path.isfile(path) else []
        if not found:
            raise InputError(f"The MLTable file names the {kind} '{given}', and nothing is there.")
        return (os.path.normpath(name) for name in found if os.path.basename(name) != NAME)


def read(folder: str) -> Table:
    """Raises InputError where there is no MLTable file, or none that can be understood."""
    path = os.path.join(folder, NAME)
    if not os.path.isfile(path):
        raise InputError(f"The input has the type mltable, and there is no file '{NAME}' in it.")
    try:
        import yaml
    except ImportError as error:
        raise InputError(f"ModuleNotFoundError: No module named 'yaml' (package pyyaml, to read {NAME})") from error
    with open(path, encoding="utf-8") as file:
        try:
            document = yaml.safe_load(file)
        except yaml.YAMLError as error:
            raise InputError(f"The file {NAME} is not YAML: {error}") from None
    paths = document.get("paths") if isinstance(document, dict) else None
    if (
        not paths
        or not isinstance(paths, list)
        or not all(isinstance(entry, dict) and len(entry) == 1 for entry in paths)
    ):
        raise InputError(f"The file {NAME} needs 'paths', a list of 'file:', 'folder:' or 'pattern:'.")
    return Table(os.path.abspath(folder), paths, [_step(given) for given in document.get("transformations") or []])


def files_below(path: str) -> list[str]:
    """Every file of a folder, sorted by its path; of a file, itself."""
    if not os.path.isdir(path):
        return [path] if os.path.exists(path) else []
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path, followlinks=True) for name in names)


def partition(path: str, pattern: str) -> dict[str, Any]:
    """What the end of a path says by `{key}` and `{key:yyyy/MM/dd}`. Raises InputError where it does not fit."""
    found = re.search(f"(?:^|/){_expression(pattern)}$", path)
    if not found:
        raise InputError(f"The path '{path}' does not fit the partition_format '{pattern}'.")
    values: dict[str, Any] = {}
    places = [place for place in _PLACE.finditer(pattern) if place[1]]
    for number, place in enumerate(places, 1):
        values[place[1].strip()] = _value(found[number], place[2])
    return values


def named_folders(path: str) -> dict[str, Any]:
    """The keys of folders such as `year=2024/month=1`."""
    parts = [part.partition("=") for part in path.split("/")[:-1]]
    return {name: value for name, equals, value in parts if equals and name}


def _step(given: Any) -> tuple[str, Any]:
    if isinstance(given, dict) and len(given) == 1:
        return next(iter(given.items()))
    if isinstance(given, str):
        return given, None
    raise InputError(f"The file {NAME} has the transformation {given!r}, which is neither a name nor 'name: options'.")


def _expression(pattern: str) -> str:
    text, at = "", 0
    pattern = pattern.lstrip("/")
    for place in _PLACE.finditer(pattern):
        text += re.escape(pattern[at : place.start()])
        text += "[^/]*" if not place[1] else f"({_dates(place[2])})" if place[2] else "([^/]+)"
        at = place.end()
    return text + re.escape(pattern[at:])


def _dates(form: str) -> str:
    return re.sub("yyyy|MM|dd|HH|mm|ss", lambda found: r"\d{4}" if found[0] == "yyyy" else r"\d{1,2}", re.escape(form))


def _value(text: str, form: str | None) -> Any:
    if not form:
        return text
    for word, directive in _DATES.items():
        form = form.replace(word, directive)
    try:
        return datetime.strptime(text, form)
    except ValueError:
        raise InputError(f"'{text}' in a path is not the date its partition_format says.") from None
