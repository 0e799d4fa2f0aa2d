"""What a job may take of this machine, and what keeps it to that: asked of the agent that will do so, once, at start."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from lazulite.model.run_plan import ControlGroups, Limits
from lazulite.resources import vm_sizes
from lazulite.server.isolation import ask_agent
from lazulite.server.settings import Settings, SettingsError

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limiting:
    """`detail` says for people what keeps which limit; `groups` are where control groups of jobs are made."""

    settings: Settings
    detail: str
    groups: ControlGroups | None = None

    def of(self, size: str | None) -> Limits:
        """The limits of a node of a VM size. A size larger than this machine, or an unknown one, is no problem."""
        settings = self.settings
        if settings.limits == "off":
            return Limits()
        memory, source = _memory(settings.job_memory, size)
        return Limits(
            memory_bytes=memory,
            memory_from=source,
            processes=settings.job_processes or None,
            open_files=settings.job_open_files or None,
            disk_bytes=int(settings.job_disk_gb * _GIB) or None,
            groups=self.groups,
        )


async def probe(settings: Settings) -> Limiting:
    """Have the agent go over limits, and see what stops it. Raises SettingsError."""
    if settings.limits == "off":
        return Limiting(settings, "none, as the setting 'limits' asks")
    found = await ask_agent("--probe-limits")
    groups = msgspec.convert({name: found.get(name) for name in ("memory", "pids")}, ControlGroups)
    if settings.limits == "cgroup" and (groups.memory is None or groups.pids is None):
        missing = "memory" if groups.memory is None else "pids"
        raise SettingsError(
            f"limits is 'cgroup', and no control group for {missing} can be made here: start the server as root or "
            "by `systemd-run --user --scope lazulite up`, or set limits to 'auto'"
        )
    if settings.limits == "rlimit":
        groups = ControlGroups()
    return Limiting(settings, _described(settings, groups, rlimits=bool(found.get("rlimits"))), groups)


def _memory(setting: str, size: str | None) -> tuple[int | None, str]:
    """Bytes, and where the figure is from."""
    if setting != "size":
        return int(float(setting) * _GIB) or None, "the server's setting job_memory"
    found = vm_sizes.find(size) if size else None
    return (None, "") if found is None else (int(found.memory_gb * _GIB), f"the memory of {size}")


def _described(settings: Settings, groups: ControlGroups, *, rlimits: bool) -> str:
    """`memory and processes by cgroup v1; open files by rlimit; disk watched every 2 s`."""
    watched = "by rlimit and watched every 0.5 s" if rlimits else "watched every 0.5 s"
    kept = {
        "memory": (
            settings.job_memory == "size" or float(settings.job_memory) > 0,
            f"by cgroup v{groups.memory.version}" if groups.memory else watched,
        ),
        "processes": (
            settings.job_processes > 0,
            f"by cgroup v{groups.pids.version}" if groups.pids else "watched every 0.5 s",
        ),
        "open files": (settings.job_open_files > 0, "by rlimit"),
        "disk": (settings.job_disk_gb > 0, "watched every 2 s"),
    }
    ways: dict[str, list[str]] = {}
    for name, (on, how) in kept.items():
        ways.setdefault(how if on else "not limited", []).append(name)
    return "; ".join(f"{' and '.join(names)} {how}" for how, names in ways.items())
