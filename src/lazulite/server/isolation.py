"""Which isolation of jobs works on this machine: asked of the machine once, at start."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from lazulite.server.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Isolation:
    """`kind` is `bubblewrap` or `process`; `detail` says why, for people."""

    kind: str
    detail: str


async def probe(settings: Settings) -> Isolation:
    """Run bubblewrap once, unless the settings ask for plain processes. Raises SettingsError."""
    if settings.isolation == "process":
        return Isolation("process", "process groups with limits, as the setting 'isolation' asks")
    works, said = await _bubblewrap()
    if works:
        return Isolation("bubblewrap", "bubblewrap: a job sees its own folders, and the system read-only")
    if settings.isolation == "bubblewrap":
        raise SettingsError(f"isolation is 'bubblewrap', and bubblewrap does not work here: {said}")
    return Isolation("process", f"process groups with limits; bubblewrap does not work here: {said}")


async def _bubblewrap() -> tuple[bool, str]:
    command = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid",
               "--die-with-parent", "true"]  # fmt: skip
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        return False, "bwrap is not installed (apt-get install bubblewrap)"
    _, errors = await process.communicate()
    return process.returncode == 0, errors.decode(errors="replace").strip()[:200]
