"""The folder a server lives in: its keys, its lock, and the note that says where it listens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lazulite.identity.tokens import write_private
from lazulite.server.settings import Settings

NOTE = "server.json"


class HomeInUse(Exception):
    """Another server runs on this home; the argument is its note, as far as it can be read."""


@dataclass(frozen=True, slots=True)
class Keys:
    """`user` is what a person's clients send; `fresh` that it was made just now."""

    master: bytes
    user: str
    tenant: str
    fresh: bool


def prepare(settings: Settings) -> Keys:
    """Make what is missing of a home: folders only their owner may enter, and its keys."""
    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for folder in (settings.storage_root, settings.environments_root, settings.runs_root):
        folder.mkdir(exist_ok=True, mode=0o700)
    root = settings.secrets_root
    user = user_key(settings)
    fresh = not user.exists()
    if not (root / "master.key").exists():
        write_private(root / "master.key", secrets.token_bytes(32))
    if not (root / "tenant").exists():
        write_private(root / "tenant", str(uuid.uuid4()).encode())
    if fresh:
        write_private(user, secrets.token_urlsafe(32).encode())
    return Keys((root / "master.key").read_bytes(), user.read_text(), (root / "tenant").read_text(), fresh)


def user_key(settings: Settings) -> Path:
    """The file with the key of whom the home belongs to."""
    return settings.secrets_root / "user.key"


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the home for this process. Raises HomeInUse."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(home / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeInUse(home) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def announced(home: Path, note: dict[str, object]) -> Iterator[None]:
    """Say in `server.json` where this server listens, for as long as it does."""
    path = home / NOTE
    write_private(path, msgspec.json.format(msgspec.json.encode(note)))
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
