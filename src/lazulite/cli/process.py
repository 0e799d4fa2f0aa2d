"""Starting the server as a process of its own, waiting until it answers, and stopping it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lazulite.cli.errors import CommandError
from lazulite.cli.home import Server, described_server, process_exists, running_server

_LOOK_EVERY_S = 0.02
#: Exit codes of `python -m lazulite.server`.
_SETTINGS, _HOME_IN_USE, _PORT_TAKEN, _UNUSABLE, _FULL = 2, 3, 4, 5, 6
_LOG_KEPT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was told; None leaves it to the home's settings."""

    port: int | None = None
    http_port: int | None = None
    host: str | None = None


ANY_PORT = Options(port=0, http_port=0)


def log_file(home: Path) -> Path:
    return home / "server.log"


def start(home: Path, options: Options, *, timeout_s: float = 60) -> tuple[Server, subprocess.Popen[bytes]]:
    """Start a server and return when it answers. Raises CommandError saying why it did not.

    It is its own session, so that neither a closed terminal nor Ctrl-C reaches it except through us.
    """
    log = log_file(home)
    with _opened(home, log) as output:
        start_of_log = output.tell()
        process = subprocess.Popen(
            _command(home, options),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        return _until_ready(home, process, time.monotonic() + timeout_s), process
    except _Exited:
        raise _why(home, log, start_of_log, process.returncode) from None
    except BaseException:
        process.terminate()
        raise


def ensure(home: Path) -> tuple[Server, subprocess.Popen[bytes] | None]:
    """The running server of this home, else a new one on free ports; the process is None if it was running."""
    server = running_server(home)
    if server is not None:
        return server, None
    try:
        return start(home, ANY_PORT)
    except CommandError:
        # Somebody else may have started one on the same home at the same moment.
        server = running_server(home)
        if server is None:
            raise
        return server, None


def stop(server: Server, *, timeout_s: float = 20) -> None:
    """Ask the server to end and wait until it has. Raises CommandError if it does not.

    Jobs that run go on, and the next server of this home takes them up again.
    """
    try:
        os.kill(server.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise CommandError(f"process {server.pid} belongs to another user", "stop it as that user") from None
    deadline = time.monotonic() + timeout_s
    while _held(server.home):
        if time.monotonic() > deadline:
            raise CommandError(
                f"the server (process {server.pid}) has not ended after {timeout_s:.0f} s",
                f"look into {log_file(server.home)}, or end it with `kill -9 {server.pid}`: what it acknowledged is safe",
            )
        time.sleep(_LOOK_EVERY_S)


def hung_server(home: Path) -> Server | None:
    """A server of this home that lives but does not answer."""
    server = described_server(home)
    if server is None or not process_exists(server.pid):
        return None
    return server if _is_ours(server.pid) else None


class _Exited(Exception):
    pass


def _command(home: Path, options: Options) -> list[str]:
    given: dict[str, Any] = {"--port": options.port, "--http-port": options.http_port, "--host": options.host}
    flags = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    return [sys.executable, "-m", "lazulite.server", "--home", str(home), *flags]


def _until_ready(home: Path, process: subprocess.Popen[bytes], deadline: float) -> Server:
    while process.poll() is None:
        described = described_server(home)
        if described is not None and described.pid == process.pid:
            server = running_server(home)
            if server is not None:
                return server
        if time.monotonic() > deadline:
            raise CommandError("the server does not answer yet", f"look into {log_file(home)}")
        time.sleep(_LOOK_EVERY_S)
    raise _Exited


def _opened(home: Path, log: Path) -> BinaryIO:
    """The log, to be written at its end. Raises CommandError where the disk takes nothing more."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        _shorten(log)
        return log.open("ab")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise CommandError(f"{error.filename} cannot be used: {error.strerror}", "name another home") from None
        raise _disk_full(home) from None


def _disk_full(home: Path) -> CommandError:
    return CommandError(
        f"the disk that holds {home} is full",
        f"make room there (`df -h {home}` shows how much there is), and start again: what was acknowledged is safe",
    )


def _why(home: Path, log: Path, start_of_log: int, code: int) -> CommandError:
    with log.open("rb") as written:
        if start_of_log <= log.stat().st_size:  # else it began anew meanwhile
            written.seek(start_of_log)
        said = written.read().decode(errors="replace").strip()
    if code == _PORT_TAKEN:
        return CommandError(
            _last_line(said),
            "see who listens there with `ss -ltnp`, or choose other ports with `--port N --http-port N`",
        )
    if code == _SETTINGS:
        return CommandError(_last_line(said), f"correct the option, LAZULITE_* variable or {home / 'settings.toml'}")
    if code == _UNUSABLE:
        return CommandError(_last_line(said), f"nothing was changed; the whole log is {log}")
    if code == _FULL:
        return _disk_full(home)
    if code == _HOME_IN_USE:
        return CommandError(f"another server holds {home} and does not answer yet", "try `lazulite status` in a moment")
    last = "\n".join(f"  {line}" for line in said.splitlines()[-12:])
    return CommandError(f"the server ended at once (exit code {code})\n{last}", f"its whole log is {log}")


def _last_line(said: str) -> str:
    return (said.splitlines() or ["the server ended at once"])[-1].removeprefix("lazulite: ")


def _shorten(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_KEPT_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _held(home: Path) -> bool:
    """Whether a server has the home's lock. Its process number says less: a parent may not have asked for it yet."""
    try:
        with (home / "server.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _is_ours(pid: int) -> bool:
    try:
        return b"lazulite.server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
