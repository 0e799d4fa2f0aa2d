"""The end of the process: asked for by a signal, and over soon, whatever is still under way."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import uvicorn

log = logging.getLogger("lazulite.server")
#: How long everything has to end by itself. A statement, a download or a thread may take longer, or for ever.
GRACE_S = 4.0


def heed(servers: Sequence[uvicorn.Server], note: Path) -> None:
    """Have SIGTERM and SIGINT stop the servers, and end the process `GRACE_S` later if that was not enough.

    To be called in the main thread. The signal is heeded also while the event loop is held up. `note` is the file that
    says where the server listens; it is removed at the end.
    """
    asked = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        for server in servers:
            server.should_exit = True
        if not asked.is_set():
            asked.set()
            threading.Thread(target=_cut_off, args=(note,), name="ending", daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _cut_off(note: Path) -> None:
    # Cut off here is what kill -9 would cut off, and that is safe: what was acknowledged is on the disk, jobs go on.
    threading.Event().wait(GRACE_S)
    log.warning("not all that was under way ended within %.0f seconds: the rest is cut off", GRACE_S)
    with suppress(OSError):
        note.unlink()
    os._exit(0)
