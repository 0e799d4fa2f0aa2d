"""The backend of one machine."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from lazulite.backends.base import BackendError, Capabilities, Handle, Observation, RunKey
from lazulite.backends.local.folder import RunFolder
from lazulite.backends.local.watcher import Watcher
from lazulite.core.paths import UnsafePath, path_beneath
from lazulite.model.run_plan import ControlGroups, RunPlan, RunSecrets
from lazulite.node import marks

log = logging.getLogger(__name__)


class LocalBackend:
    """`root` holds a folder per run. Agents are processes of their own: they go on when the server ends."""

    name = "local"
    capabilities = Capabilities(multi_node=True, reads_local_paths=True)

    def __init__(self, root: Path, groups: ControlGroups | None = None) -> None:
        """`groups` are where the control groups of runs are made, as in their plans."""
        self.root = root
        self._groups: dict[str, Any] = msgspec.to_builtins(groups) if groups is not None else {}
        self._watcher: Watcher | None = None

    async def start(self, run: RunKey, plan: RunPlan, secrets: RunSecrets) -> Handle:
        """As the Protocol says. The plan of a run whose agent has not begun is replaced by this one."""
        handle = _handle(run)
        folder = self._folder(handle)
        await asyncio.to_thread(_start, folder, plan, secrets)
        self._watch(handle, folder)
        return handle

    async def find(self, run: RunKey) -> Handle | None:
        handle = _handle(run)
        return handle if self._folder(handle).exists else None

    async def inspect(self, handle: Handle) -> Observation:
        folder = self._folder(handle)
        try:
            found = await asyncio.to_thread(folder.observe)
        except (OSError, ValueError) as error:
            raise BackendError(f"the status of the run cannot be read: {error}") from error
        if found.outcome is None and found.alive:
            self._watch(handle, folder)
        elif self._watcher is not None:
            self._watcher.discard(handle["job"])
        return found

    async def stop(self, handle: Handle, grace_s: float) -> None:
        """Leaves the wish in the run's folder; a file may still be read before it is written whole, which is no harm."""
        await asyncio.to_thread(self._folder(handle).ask_to_stop, grace_s)

    async def forget(self, handle: Handle) -> None:
        if self._watcher is not None:
            self._watcher.discard(handle["job"])
        folder = self._folder(handle)
        if folder.path.exists():
            await asyncio.to_thread(folder.remove)

    async def retain(self, runs: Collection[RunKey]) -> None:
        """Runs that nobody owns are asked to stop, and removed at the next start if they need time for it.

        What runs of a folder that is gone is ended at once.
        """
        keep = {self._folder(_handle(run)).path for run in runs}
        await asyncio.to_thread(self._sweep, keep)

    def watch(self, changed: Callable[[str], None] | None) -> None:
        self._watcher = Watcher(changed) if changed is not None else None

    async def close(self) -> None:
        if self._watcher is not None:
            await self._watcher.close()
            self._watcher = None

    def _sweep(self, keep: Collection[Path]) -> None:
        for place in {Path(folder) for _, folder in marks.everywhere()}:
            if place.is_relative_to(self.root) and not place.exists():
                with _going_on(place):
                    RunFolder(place, self._groups).end_processes()
        for path in self.root.glob("*/*/*"):
            if path not in keep:
                with _going_on(path):
                    _retire(RunFolder(path, self._groups))

    def _watch(self, handle: Handle, folder: RunFolder) -> None:
        if self._watcher is not None:
            self._watcher.add(handle["job"], folder)

    def _folder(self, handle: Handle) -> RunFolder:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            return RunFolder(path_beneath(self.root, str(handle["folder"])), self._groups)
        except UnsafePath as error:
            raise BackendError(f"'{handle['folder']}' cannot be the folder of a run: {error}") from error


def _handle(run: RunKey) -> Handle:
    workspace = hashlib.sha256(run.workspace.lower().encode()).hexdigest()[:16]
    return {
        "folder": f"{workspace}/{run.job.lower()}/{run.row}.{run.attempt}",
        "job": run.job_key,
        "attempt": run.attempt,
    }


def _start(folder: RunFolder, plan: RunPlan, secrets: RunSecrets) -> None:
    if folder.started:
        return
    try:
        folder.write(plan, secrets)
    except OSError as error:
        raise BackendError(f"the run's folder cannot be written: {error}") from error
    folder.spawn()


def _retire(folder: RunFolder) -> None:
    if not folder.path.is_dir():
        return
    folder.ask_to_stop()
    seen = folder.observe()
    if seen.outcome is not None or not seen.alive:
        folder.remove()


@contextmanager
def _going_on(path: Path) -> Iterator[None]:
    """One run that cannot be cleared away keeps no server from starting: it is tried again at the next start."""
    try:
        yield
    except Exception as error:
        log.warning("the run in %s could not be cleared away: %s", path, error, exc_info=not isinstance(error, OSError))
