"""The one loop of the engine: what is due, at most once at a time each, again later, with back-off after errors.

Loops are level-triggered. A hint only says "look at this"; what there is to do, the controller reads. A lost hint
costs a sweep interval. One server process holds a home (a lock on its folder), so no lease is kept per row; what
guards a row against a writer with an old view of it is its etag: controllers write with the etag they read, and a
`VersionConflict` simply makes the item due again.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from lazulite.core.trouble import trouble
from lazulite.store.resources import VersionConflict

log = logging.getLogger(__name__)
_CONFLICT_S = 0.01
_BACKOFF_S = (0.2, 60.0)  # first and longest


class Controller(Protocol):
    """One thing that moves. An item is a string the controller chooses, mostly a resource key."""

    @property
    def name(self) -> str: ...

    def item(self, changed_key: str) -> str | None:
        """The item that a changed resource makes due, or None where it concerns something else."""

    async def pending(self) -> Iterable[str]:
        """Every item that may have something to do: read at the start and at every sweep."""

    async def reconcile(self, item: str) -> float | None:
        """Read everything, decide, act. Return after how many seconds to look again; None waits for a hint."""


class Loop:
    """Runs controllers. `hint` may be called from any thread; everything else belongs to one event loop."""

    def __init__(
        self,
        controllers: Iterable[Controller],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sweep_s: float = 15.0,
        concurrency: int = 16,
    ) -> None:
        self._controllers = {controller.name: controller for controller in controllers}
        self._monotonic = monotonic
        self._sweep_s = sweep_s
        self._slots = asyncio.Semaphore(concurrency)
        self._queue = _Queue()
        self._running: dict[_Item, asyncio.Task[None]] = {}
        self._again: set[_Item] = set()
        self._failures: dict[_Item, int] = {}
        self._wake = asyncio.Event()
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work in the running event loop."""
        self._event_loop = asyncio.get_running_loop()
        self._main = asyncio.create_task(self._run(), name="engine-loop")

    async def stop(self) -> None:
        """Stop where it stands: whatever is under way is safe to be cut off, and is taken up at the next start."""
        tasks = [task for task in (self._main, *self._running.values()) if task is not None]
        self._event_loop = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._main = None

    def hint(self, changed_keys: Iterable[str]) -> None:
        """These resources changed. Safe from any thread; ignored while the loop does not run."""
        event_loop = self._event_loop
        if event_loop is not None:
            with suppress(RuntimeError):  # the event loop closed in between
                event_loop.call_soon_threadsafe(self.notice, list(changed_keys))

    def notice(self, changed_keys: Iterable[str]) -> None:
        """`hint` from within the event loop's own thread."""
        now = self._monotonic()
        for key in changed_keys:
            for controller in self._controllers.values():
                item = controller.item(key)
                if item is not None:
                    self._make_due((controller.name, item), now)
        self._wake.set()

    async def sweep(self) -> None:
        """Make everything due that may have something to do."""
        for controller in self._controllers.values():
            for item in await controller.pending():
                self._make_due((controller.name, item), self._monotonic())

    async def settle(self, limit: int = 10_000) -> None:
        """Do everything that is due now, one after the other, until nothing is. For tests; never waits."""
        for _ in range(limit):
            item = self._queue.take(self._monotonic())
            if item is None:
                return
            await self._work(item)
            await asyncio.sleep(0)
        raise AssertionError("the loop does not come to rest")

    async def _run(self) -> None:
        next_sweep = self._monotonic()
        while True:
            self._wake.clear()
            if self._monotonic() >= next_sweep:
                await self._swept()
                next_sweep = self._monotonic() + self._sweep_s
            while (item := self._queue.take(self._monotonic())) is not None:
                if item in self._running:
                    self._again.add(item)
                else:
                    self._spawn(item)
            due = min(self._queue.next_due(), next_sweep)
            # Not wait_for: in Python 3.11 it loses a cancellation that comes together with the event.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._monotonic())):
                    await self._wake.wait()

    async def _swept(self) -> None:
        try:
            await self.sweep()
        except Exception as error:
            found = trouble(error)
            reason = f": {found.message}" if found else ""
            log.error("a sweep failed; the next one tries again%s", reason, exc_info=None if found else error)

    def _make_due(self, item: _Item, at: float) -> None:
        if item in self._running:
            self._again.add(item)
        else:
            self._queue.add(item, at)

    def _spawn(self, item: _Item) -> None:
        task = asyncio.create_task(self._bounded(item))
        self._running[item] = task
        task.add_done_callback(lambda _: self._done(item))

    async def _bounded(self, item: _Item) -> None:
        async with self._slots:
            await self._work(item)

    def _done(self, item: _Item) -> None:
        self._running.pop(item, None)
        if item in self._again:
            self._again.discard(item)
            self._queue.add(item, self._monotonic())
        self._wake.set()

    async def _work(self, item: _Item) -> None:
        name, key = item
        try:
            again = await self._controllers[name].reconcile(key)
            self._failures.pop(item, None)
        except VersionConflict:
            again = _CONFLICT_S
        except Exception as error:
            count = self._failures[item] = self._failures.get(item, 0) + 1
            again = min(_BACKOFF_S[0] * 2 ** (count - 1), _BACKOFF_S[1])
            found = trouble(error)  # a full disk is no news each time, and no fault to be traced
            reason = f": {found.message}" if found else ""
            told = None if found else error
            log.error(
                "%s %s failed %d times in a row; again in %.1f s%s", name, key, count, again, reason, exc_info=told
            )
        if again is not None:
            self._queue.add(item, self._monotonic() + again)


_Item = tuple[str, str]


class _Queue:
    """Items by the time they are due; an item stands in it once, at its earliest time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, _Item]] = []
        self._due: dict[_Item, float] = {}

    def add(self, item: _Item, at: float) -> None:
        known = self._due.get(item)
        if known is None or at < known:
            self._due[item] = at
            heapq.heappush(self._heap, (at, item))

    def take(self, now: float) -> _Item | None:
        """The next item that is due at `now`, removed."""
        if self.next_due() > now:
            return None
        _, item = heapq.heappop(self._heap)
        del self._due[item]
        return item

    def next_due(self) -> float:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # superseded by an earlier time
        return self._heap[0][0] if self._heap else float("inf")
