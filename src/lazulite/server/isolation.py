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
_PROMISES = {
    "bubblewrap": "a job sees the system read-only, its own folders and environment, and no other process",
    "landlock": "a job reads the system, its own folders and environment, and writes to its own folders alone",
    "process": "a job gets copies of its inputs and environment, and nothing else is kept from it",
}


@dataclass(frozen=True, slots=True)
class Isolation:
    """`kind` is `bubblewrap`, `landlock` or `process`; `detail` says what it keeps and why no other, for people."""

    kind: str
    detail: str
    options: tuple[str, ...] = ()
    """bubblewrap's own, that work on this machine."""
    hide: tuple[str, ...] = ()
    """What only root may read: files of the system that no job of root's may see."""
    show: tuple[str, ...] = ()
    """What variables and the settings of pip and uv name outside of the system: certificates, libraries, packages."""


async def probe(settings: Settings) -> Isolation:
    """Have the agent find the first level that keeps its promise, of all or of the one that the settings ask for.

    Raises SettingsError where the one that they ask for does not work on this machine.
    """
    wanted = settings.isolation
    if wanted == "process":
        return Isolation("process", f"process: {_PROMISES['process']}, as the setting 'isolation' asks")
    found = await ask_agent("--probe", str(settings.home), wanted)
    kind = found["kind"] or "process"
    why_not = found.get("why_not", found["detail"])
    why_not = f"{why_not} ({_INSTALL})" if "not installed" in why_not else why_not
    if wanted not in ("auto", kind):
        raise SettingsError(f"isolation is '{wanted}', and {why_not}")
    said = _PROMISES[kind] + (f" ({found['detail']})" if found["kind"] and found["detail"] else "")
    if kind != "bubblewrap":
        said += f"; {why_not}" if why_not else ""
    lists = {name: tuple(found.get(name, ())) for name in ("options", "hide", "show")}
    return Isolation(kind, f"{kind}: {said}", **lists)


async def ask_agent(question: str, *about: str) -> dict[str, Any]:
    """The agent's answer to one of its `--probe` options; `kind` None and a `detail` where it gives none."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(AGENT), question, *about),
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
