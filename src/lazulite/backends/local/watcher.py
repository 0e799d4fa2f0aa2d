"""Notices when runs on this machine get on: looks at each one's status file many times a second, and at its agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from lazulite.backends.local.folder import RunFolder, is_alive
from lazulite.model.run_plan import RunStatus

INTERVAL_S = 0.03
#: Every so many looks the agents are checked to be alive.
_ALIVE_EVERY = 30


@dataclass(slots=True)
class _Watched:
    folder: RunFolder
    stamp: tuple[int, int] | None
    status: RunStatus | None = None


class Watcher:
    """One task for all runs; it sleeps while there is none. A `stat` of a file costs about two microseconds."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._runs: dict[str, _Watched] = {}
        self._any = asyncio.Event()
        self._task = asyncio.create_task(self._watch(), name="local-run-watcher")

    def add(self, job_key: str, folder: RunFolder) -> None:
        if job_key not in self._runs or self._runs[job_key].folder.path != folder.path:
            self._runs[job_key] = _Watched(folder, None)
        self._any.set()

    def discard(self, job_key: str) -> None:
        self._runs.pop(job_key, None)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        looks = 0
        while True:
            if not self._runs:
                self._any.clear()
                await self._any.wait()
            looks += 1
            for key, run in list(self._runs.items()):
                try:
                    got_on = self._got_on(run, check_alive=looks % _ALIVE_EVERY == 0)
                except (OSError, ValueError):
                    got_on = True  # whoever inspects it says what is wrong with it
                if got_on:
                    self._changed(key)
            await asyncio.sleep(INTERVAL_S)

    def _got_on(self, run: _Watched, *, check_alive: bool) -> bool:
        stamp = run.folder.stamp()
        if stamp != run.stamp:
            before, run.stamp = run.status, stamp
            run.status = run.folder.status()
            return before is None or run.status is None or _told(before) != _told(run.status)
        return check_alive and run.status is not None and run.status.outcome is None and not is_alive(run.status)


def _told(status: RunStatus) -> tuple[object, ...]:
    """All but the heartbeat, which is news to nobody."""
    return status.phase, status.outcome, status.activity, len(status.times)
