"""Which isolation of jobs works on this machine: asked of the agent that will use it, once, at start."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

from lazulite.backends.local.folder import AGENT
from lazulite.server.settings import Settings, SettingsError

_INSTALL = "apt-get install bubblewrap"


@dataclass(frozen=True, slots=True)
class Isolation:
    """`kind` is `bubblewrap` or `process`; `detail` says why, for people."""

    kind: str
    detail: str


async def probe(settings: Settings) -> Isolation:
    """Have the agent run bubblewrap once, unless the settings ask for plain processes. Raises SettingsError."""
    if settings.isolation == "process":
        return Isolation("process", "process groups with limits, as the setting 'isolation' asks")
    found = await ask_agent("--probe")
    if found["kind"] == "bubblewrap":
        return Isolation("bubblewrap", "bubblewrap: a job sees its own folders, and the system read-only")
    said = f"{found['detail']} ({_INSTALL})" if "not installed" in found["detail"] else found["detail"]
    if settings.isolation == "bubblewrap":
        raise SettingsError(f"isolation is 'bubblewrap', and {said}")
    return Isolation("process", f"process groups with limits; {said}")


async def ask_agent(question: str) -> dict[str, Any]:
    """The agent's answer to one of its `--probe` options; `kind` None and a `detail` where it gives none."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(AGENT), question),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    answer, errors = await process.communicate()
    try:
        found: dict[str, Any] = json.loads(answer)
    except ValueError:
        said = errors.decode(errors="replace").strip()[-300:] or f"exit code {process.returncode}"
        return {"kind": None, "detail": f"the agent's {question} failed: {said}"}
    return found
