from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lazulite.storage.spool import finish


@pytest.mark.parametrize("fails", [False, True])
async def test_what_a_thread_uses_is_held_to_its_end_however_often_one_is_cancelled(fails: bool) -> None:
    may_end, ended = threading.Event(), []

    def work() -> None:
        may_end.wait(10)
        ended.append(True)
        if fails:
            raise OSError("nobody is left to be told")

    with ThreadPoolExecutor(1) as threads:
        waiting = asyncio.create_task(_wait(threads, work))
        for _ in range(5):
            await asyncio.sleep(0)
            waiting.cancel()
        await asyncio.sleep(0)
        assert not waiting.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert ended


async def _wait(threads: ThreadPoolExecutor, work: object) -> None:
    await finish(asyncio.get_running_loop().run_in_executor(threads, work))  # type: ignore[arg-type]
