"""Where files are copied from and to: what lies on this machine, blobs, and single files of the web."""

import os
from collections.abc import Collection, Iterator
from typing import Any, Protocol

from . import files, transfer
from .run import Run


class Store(Protocol):
    """Files by their names below one folder, or the one file that is meant."""

    def names(self) -> Iterator[str]:
        """Raises OSError or TransferError where there is nothing."""
        ...

    def opened(self, wanted: Collection[str]) -> Iterator[tuple[str, int]]:
        """The files among `wanted`, with their descriptors. Raises OSError or TransferError."""
        ...

    def has(self, name: str) -> bool: ...

    def write(self, name: str, source: int) -> None:
        """Replace a file by the rest of an open one. Raises OSError or TransferError."""
        ...


def of_input(run: Run, name: str) -> Store:
    given = run.plan["inputs"][name]
    if given["kind"] == "path":
        return Local(run, given["path"], given.get("root"))
    single = given["kind"] == "http" or given["type"] == "uri_file"
    return Remote(run, given["url"], run.query(f"inputs.{name}"), single=single)


def of_output(run: Run, name: str) -> Store:
    """The folder that an output is, or that it lies in where it is one file."""
    asked = run.plan["outputs"][name]
    single = asked["type"] == "uri_file"
    if asked["kind"] == "path":
        return Local(run, os.path.dirname(asked["path"]) if single else asked["path"], asked.get("root"))
    url: str = asked["url"]
    return Remote(run, url.rstrip("/").rpartition("/")[0] if single else url, run.query(f"outputs.{name}"))


class Local:
    """A file or a folder of this machine. No link is followed below it, nor out of `root`."""

    def __init__(self, run: Run, path: str, root: str | None) -> None:
        self.run = run
        self.own_name = os.path.basename(path.rstrip("/"))
        self.path = files.beneath(path, root)

    def names(self) -> Iterator[str]:
        if os.path.isfile(self.path):
            yield self.own_name
        elif os.path.isdir(self.path):
            yield from (name for name, _ in files.opened(self.path))
        else:
            raise FileNotFoundError("there is nothing at that path")

    def opened(self, wanted: Collection[str]) -> Iterator[tuple[str, int]]:
        if os.path.isdir(self.path):
            yield from ((name, file) for name, file in files.opened(self.path) if name in wanted)
        elif wanted:
            with open(self.path, "rb") as file:
                yield self.own_name, file.fileno()

    def has(self, name: str) -> bool:
        return os.path.lexists(os.path.join(self.path, name))

    def write(self, name: str, source: int) -> None:
        target = os.path.join(self.path, name)
        files.beneath(os.path.dirname(target), self.path)
        files.store(source, target, self.run.tick)


class Remote:
    """Blobs below an address, or one file there (`single`); they pass through a file of this machine."""

    def __init__(self, run: Run, url: str, query: str, *, single: bool = False) -> None:
        self.run = run
        self.url = url.rstrip("/")
        self.query = query
        self.single = single
        self.known: set[str] | None = None

    def names(self) -> Iterator[str]:
        found = [] if self.single else list(self.listed())
        self.single = not found
        yield from found or [self.own_name]

    def opened(self, wanted: Collection[str]) -> Iterator[tuple[str, int]]:
        for name in [self.own_name] if self.single else sorted(wanted):
            if name in wanted:
                import tempfile  # slow to import, and most runs copy nothing

                with tempfile.TemporaryDirectory(dir=self.run.path("tmp")) as folder:
                    path = os.path.join(folder, "file")
                    url = self.url if self.single else self.address(name)
                    transfer.download(url, self.query, path, self.ca_bundle, self.run.tick)
                    with open(path, "rb") as file:
                        yield name, file.fileno()

    def has(self, name: str) -> bool:
        if self.known is None:
            self.known = set(self.listed())
        return name in self.known

    def write(self, name: str, source: int) -> None:
        transfer.upload(source, self.address(name), self.query, self.ca_bundle, self.run.tick)

    def listed(self) -> Iterator[str]:
        account, container, path = transfer.split(self.url)
        prefix = f"{path}/" if path else ""
        for name in transfer.list_blobs(f"{account}/{container}", self.query, prefix, self.ca_bundle, self.run.tick):
            relative = os.path.normpath(name[len(prefix) :])
            if not relative.startswith(("..", "/")) and not name.endswith("/"):
                yield relative

    def address(self, name: str) -> str:
        return f"{self.url}/{transfer.quote(name)}"

    @property
    def own_name(self) -> str:
        from urllib.parse import unquote

        return unquote(self.url.rpartition("/")[2]) or "data"

    @property
    def ca_bundle(self) -> Any:
        return self.run.plan["ca_bundle"]
