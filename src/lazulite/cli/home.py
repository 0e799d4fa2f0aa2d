"""A server's home folder as the command sees it: which one is meant, and which server runs on it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lazulite.cli.errors import CommandError, not_running
from lazulite.cli.http import Unreachable, get_json


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, as it describes itself in `<home>/server.json`."""

    home: Path
    pid: int
    https_url: str
    http_url: str
    version: str
    started: str
    isolation: str
    limits: str

    @property
    def bundle(self) -> Path:
        """Our certificate authority and the system's roots, in one file."""
        return self.home / "tls" / "bundle.pem"

    def user_key(self) -> str:
        """The key of the user who owns this home. Raises CommandError if it cannot be read."""
        path = self.home / "secrets" / "user.key"
        try:
            return path.read_text().strip()
        except OSError as error:
            raise CommandError(
                f"the user's key {path} cannot be read: {error.strerror}",
                "run the command as the user who started the server",
            ) from None


def home_folder(given: str | None, environ: Mapping[str, str] = os.environ) -> Path:
    """`--home`, else LAZULITE_HOME, else ~/.lazulite; absolute."""
    return Path(given or environ.get("LAZULITE_HOME") or Path.home() / ".lazulite").expanduser().absolute()


def described_server(home: Path) -> Server | None:
    """What `<home>/server.json` says, whether or not that server still runs."""
    try:
        document = json.loads((home / "server.json").read_text())
        return Server(
            home=home,
            pid=int(document["pid"]),
            https_url=str(document["https_url"]).rstrip("/"),
            http_url=str(document["http_url"]).rstrip("/"),
            version=str(document.get("version", "")),
            started=str(document.get("started", "")),
            isolation=_isolation(document.get("isolation")),
            limits=str(document.get("limits", "")),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running_server(home: Path) -> Server | None:
    """The server that runs on this home and answers."""
    server = described_server(home)
    if server is None or not process_exists(server.pid):
        return None
    try:
        health = get_json(f"{server.http_url}/healthz", timeout_s=5)
    except Unreachable:
        return None
    # After a crash another server may have taken the port, and another process the number.
    return server if health.get("pid", server.pid) == server.pid else None


def required_server(home: Path) -> Server:
    """The running server of this home. Raises CommandError if there is none."""
    server = running_server(home)
    if server is None:
        raise not_running(home)
    return server


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _isolation(value: object) -> str:
    return str(value.get("detail") or value.get("kind", "")) if isinstance(value, dict) else str(value or "")
