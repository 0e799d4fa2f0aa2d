"""Virtual environments for what is run against the platform, each made once and kept."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


class NoEnvironment(Exception):
    """An environment cannot be made; the message holds the end of what uv said."""


def interpreter(folder: Path, packages: Iterable[str], python: str = sys.executable) -> str:
    """An interpreter below `folder` with these packages; `python` is a version or a path. Raises NoEnvironment."""
    wanted = sorted(packages)
    place = folder / hashlib.sha256("\n".join([python, *wanted]).encode()).hexdigest()[:16]
    found = place / "bin" / "python"
    if not (place / "complete").exists():
        uv = [sys.executable, "-m", "uv"]
        for command in (
            [*uv, "venv", "--quiet", "--clear", "--seed", "--python", python, str(place)],
            [*uv, "pip", "install", "--quiet", "--python", str(found), *wanted],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NoEnvironment(done.stderr.strip()[-2000:])
        (place / "complete").touch()
    return str(found)
