from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from lazulite.engine.loop import Loop
from lazulite.store.resources import VersionConflict


class Recorder:
    """A controller of everything whose work is a function."""

    name = "r"

    def __init__(self, work: Callable[[str], Awaitable[float | None]] | None = None) -> None:
        self.seen: list[str] = []
        self.there: list[str] = []
        self._work = work

    def item(self, changed_key: str) -> str | None:
        return None if changed_key.startswith("other") else changed_key

    async def pending(self) -> Iterable[str]:
        return self.there

    async def reconcile(self, item: str) -> float | None:
        self.seen.append(item)
        return await self._work(item) if self._work else None


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_hint_makes_its_item_due_once() -> None:
    controller = Recorder()
    loop = Loop([controller], monotonic=Time())
    loop.notice(["a", "a", "other/x", "b"])
    await loop.settle()
    assert controller.seen == ["a", "b"]


async def test_a_lost_hint_is_made_good_by_the_sweep() -> None:
    controller = Recorder()
    controller.there = ["a"]
    loop = Loop([controller], monotonic=Time())
    await loop.sweep()
    await loop.settle()
    assert controller.seen == ["a"]


async def test_an_item_is_looked_at_again_when_it_said_so_and_a_hint_comes_first() -> None:
    async def again(_: str) -> float:
        return 10.0

    time, controller = Time(), Recorder(again)
    loop = Loop([controller], monotonic=time)
    loop.notice(["a"])
    await loop.settle()
    time.now = 9.0
    await loop.settle()
    assert len(controller.seen) == 1
    loop.notice(["a"])
    await loop.settle()
    assert len(controller.seen) == 2
    time.now = 19.0
    await loop.settle()
    assert len(controller.seen) == 3


async def test_errors_back_off_and_do_not_stop_others() -> None:
    async def fails(item: str) -> None:
        if item == "bad":
            raise RuntimeError("no")

    time, controller = Time(), Recorder(fails)
    loop = Loop([controller], monotonic=time)
    loop.notice(["bad", "good"])
    looks = []
    for second in range(200):
        time.now = float(second)
        await loop.settle()
        looks.append(controller.seen.count("bad"))
    assert controller.seen.count("good") == 1
    assert 6 <= looks[-1] <= 12
    assert looks[1] > looks[0]


async def test_a_conflict_is_looked_at_again_soon_and_is_no_error() -> None:
    conflicts = [1, 1, 1]

    async def conflict(_: str) -> None:
        if conflicts:
            conflicts.pop()
            raise VersionConflict("a")

    time, controller = Time(), Recorder(conflict)
    loop = Loop([controller], monotonic=time)
    loop.notice(["a"])
    for _ in range(10):
        await loop.settle()
        time.now += 0.02
    assert len(controller.seen) == 4


async def test_an_item_is_worked_on_once_at_a_time_and_a_hint_meanwhile_is_kept() -> None:
    release, at_once, most = asyncio.Event(), 0, 0

    async def slow(_: str) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await release.wait()
        at_once -= 1

    controller = Recorder(slow)
    loop = Loop([controller])
    loop.start()
    loop.notice(["a"])
    await turns(lambda: controller.seen == ["a"])
    loop.notice(["a"])
    await turns(lambda: False, 20)
    assert controller.seen == ["a"]
    release.set()
    await turns(lambda: len(controller.seen) == 2)
    await loop.stop()
    assert (len(controller.seen), most) == (2, 1)


async def test_no_more_than_so_many_at_a_time() -> None:
    at_once, most = 0, 0

    async def slow(_: str) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1

    controller = Recorder(slow)
    loop = Loop([controller], concurrency=3)
    loop.start()
    loop.notice([str(n) for n in range(20)])
    await turns(lambda: len(controller.seen) == 20)
    await loop.stop()
    assert most == 3


async def test_hints_come_from_other_threads() -> None:
    controller = Recorder()
    loop = Loop([controller])
    loop.hint(["before the start"])
    loop.start()
    await asyncio.to_thread(loop.hint, ["a"])
    await turns(lambda: controller.seen == ["a"])
    await loop.stop()
    loop.hint(["after the end"])
    assert controller.seen == ["a"]


async def turns(reached: Callable[[], bool], limit: int = 2000) -> None:
    """Let the event loop turn until it is so."""
    for _ in range(limit):
        if reached():
            return
        await asyncio.sleep(0)
    assert limit < 100 or reached()
