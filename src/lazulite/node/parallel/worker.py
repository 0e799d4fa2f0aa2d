"""A worker process: it loads the entry script once and runs mini-batches until it is told to end.

What it says over its pipe, in that order: ("ready",) or ("broken", traceback); then for each mini-batch ("loaded",
items) and ("done", items that succeeded, lines, seconds in run), or ("failed", traceback).
"""

from __future__ import annotations

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
    """The descriptor of the pipe, the file of the script's own log, and the script's arguments."""
    pipe, log, own = Connection(int(arguments[0])), arguments[1], arguments[2:]
    asked = settings.load(own)
    entry_script.offer(log, asked.logging_level)
    try:
        script = Script(asked.entry_script, own)
        script.init()
    except BaseException:
        pipe.send(("broken", traceback.format_exc()))
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
        return ("done", succeeded, results.lines(result) if wanted else [], took)
    except BaseException:
        return ("failed", traceback.format_exc())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
