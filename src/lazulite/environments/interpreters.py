"""The Python interpreters of this machine: found, never downloaded."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lazulite.environments.spec import Unresolvable

NAME = re.compile(r"python(3)\.(\d+)")
OLDEST = (3, 7)
OWN = (
    "$PYENV_ROOT/versions/*/bin",
    "~/.pyenv/versions/*/bin",
    "$UV_PYTHON_INSTALL_DIR/*/bin",
    "$XDG_DATA_HOME/uv/python/*/bin",
    "~/.local/share/uv/python/*/bin",
    "$ASDF_DATA_DIR/installs/python/*/bin",
    "~/.asdf/installs/python/*/bin",
    "$MISE_DATA_DIR/installs/python/*/bin",
    "~/.local/share/mise/installs/python/*/bin",
)
"""Before the search path: these have what compiling a package needs. Where a variable is not set, its place is none."""
SYSTEM = (
    "/opt/*/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/opt/python@3.*/bin",
    "/usr/local/bin",
    "/usr/bin",
)


@dataclass(frozen=True, slots=True, order=True)
class Interpreter:
    version: tuple[int, int]
    path: str

    @property
    def minor(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


@cache
def discover() -> tuple[Interpreter, ...]:
    """One working interpreter a minor version, oldest first. Looked for once a process."""
    search_path = [Path(folder) for folder in os.get_exec_path()]
    return find([*places(OWN), *search_path, *places(SYSTEM)])


def find(folders: Iterable[Path]) -> tuple[Interpreter, ...]:
    """The first working `python3.N` of each N in the folders' order. pyenv's shims are none: they only start others."""
    found: dict[tuple[int, int], Interpreter] = {}
    for folder in folders:
        if folder.name == "shims" or not folder.is_dir():
            continue
        for path in sorted(folder.glob("python3.*")):
            match = NAME.fullmatch(path.name)
            version = (int(match[1]), int(match[2])) if match else (0, 0)
            if version >= OLDEST and version not in found and (real := working(path, version)):
                found[version] = Interpreter(version, real)
    return tuple(sorted(found.values()))


def choose(wanted: str | None, interpreters: Sequence[Interpreter]) -> tuple[Interpreter, str | None]:
    """The interpreter for a minor version such as `3.10`: that one, else the nearest newer, else the nearest older.

    None asks for the newest that most packages are built for. The second value says when another version was taken.
    Raises Unresolvable when there is no interpreter at all.
    """
    if not interpreters:
        raise Unresolvable("No Python interpreter (python3.8 or newer) was found on this machine: install one.")
    ordered = sorted(interpreters)
    if wanted is None:
        return ordered[-1], None
    asked = (int(wanted.split(".")[0]), int(wanted.split(".")[1]))
    newer = [each for each in ordered if each.version >= asked]
    chosen = newer[0] if newer else ordered[-1]
    if chosen.version == asked:
        return chosen, None
    return chosen, (
        f"Python {wanted} is not installed on this machine: Python {chosen.minor} is used in its place. "
        f"Install Python {wanted} (pyenv, uv python install, or the system's packages) to have it."
    )


def places(patterns: Iterable[str]) -> Iterable[Path]:
    for pattern in patterns:
        expanded = os.path.expandvars(os.path.expanduser(pattern))
        if not expanded.startswith("/"):
            continue
        yield from sorted(Path("/").glob(expanded.lstrip("/")), reverse=True)


def working(path: Path, version: tuple[int, int]) -> str | None:
    """The interpreter's own path (behind links and virtual environments) when it runs and is of that version."""
    real = os.path.realpath(path)
    code = f"import sys; print(sys.version_info[:2] == {version} and sys.implementation.name)"
    try:
        done = subprocess.run([real, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return real if done.stdout.strip() == "cpython" else None
