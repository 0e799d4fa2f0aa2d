"""A worker process: it loads the entry script once and runs mini-batches until it is told to end.

What it says over its pipe, in that order: ("ready",) or ("broken", traceback); then for each mini-batch ("loaded",
items) and ("done", items that succeeded, lines, seconds in run), or ("failed", traceback). Into the file it is given it
writes where it stands when it crashes, or is told to end by SIGTERM.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from . import entry_script, results, rows, settings
from .batches import Batch
from .entry_script import MiniBatchContext, Script
from .table_file import Table


def main(arguments: list[str]) -> int:
    """The descriptors of the pipe and of the file for stacks, the script's own log, and the script's arguments."""
    pipe, log, own = Connection(int(arguments[0])), arguments[2], arguments[3:]
    _watch(pipe, int(arguments[1]))
    asked = settings.load(own)
    entry_script.offer(log, asked.logging_level)
    try:
        script = Script(asked.entry_script, own)
        script.init()
    except BaseException as error:
        pipe.send(("broken", _told(error)))
        return 1
    pipe.send(("ready",))
    table: Table | None = None
    while True:
        try:
            told = pipe.recv()
        except EOFError:  # the driver is gone
            return 1
        if told is None:
            break
        if isinstance(told, Table):
            table = told
            continue
        pipe.send(_run(pipe, script, table, told, wanted=asked.append_to is not None))
    script.shutdown()
    return 0


def _run(pipe: Connection, script: Script, table: Table | None, batch: Batch, wanted: bool) -> Any:
    try:
        items = rows.load(table, batch.pieces) if table is not None else batch.files
        pipe.send(("loaded", len(items)))
        began = time.monotonic()
        result = script.run(items, MiniBatchContext(batch.number, batch.key))
        took = time.monotonic() - began
        succeeded = results.count(result)
        return ("done", succeeded, results.lines(result) if wanted else b"", took)
    except BaseException as error:
        return ("failed", _told(error))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _watch(pipe: Connection, stacks: int) -> None:
    faulthandler.enable(stacks)
    faulthandler.register(signal.SIGTERM, stacks, chain=True)

    def in_child() -> None:
        """What the script forks must neither keep the pipe open once we died, nor write into our file."""
        pipe.close()
        faulthandler.disable()
        faulthandler.unregister(signal.SIGTERM)

    for descriptor in (pipe.fileno(), stacks):
        os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=in_child)


def _told(error: BaseException) -> str:
    """Its traceback, which begins where the script's own code does."""
    place, ours = error.__traceback__, os.path.dirname(__file__)
    while place is not None and place.tb_next is not None:
        file = place.tb_frame.f_code.co_filename
        if not file.startswith((ours, "<frozen importlib")):
            break
        place = place.tb_next
    return "".join(traceback.format_exception(type(error), error, place))
