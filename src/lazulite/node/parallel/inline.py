"""Every mini-batch in this very process, one after the other: for whoever steps through an entry script."""

from __future__ import annotations

import os
import sys

from . import results, rows
from .batches import Division
from .entry_script import MiniBatchContext, Script, offer
from .report import say
from .settings import Settings

#: The worker that this process stands for, as far as EntryScript is asked about it.
_LOG = os.path.join("logs", "user", "entry_script_log", "0", "process000.log.txt")


def is_wanted() -> bool:
    """A person sits at the terminal, or a debugger looks on. A job has neither."""
    watched = sys.gettrace() is not None or "debugpy" in sys.modules
    return watched or (sys.stdin is not None and sys.stdin.isatty())


def run(settings: Settings, division: Division) -> int:
    """Run the entry script; what it raises is not caught, nothing is tried again, and no threshold counts."""
    say(f"The input is {division.description}: {len(division.batches)} mini-batches, one after the other here.")
    offer(_LOG, settings.logging_level, to_file=False)
    script = Script(settings.entry_script, settings.arguments)
    script.init()
    appended = results.Appended(settings.append_to)
    try:
        for batch in division.batches:
            items = rows.load(division.table, batch.pieces) if division.table is not None else batch.files
            result = script.run(items, MiniBatchContext(batch.number, batch.key))
            say(f"mini-batch {batch.number}: {len(items)} items, {results.count(result)} results")
            appended.add(batch.number, results.lines(result))
    finally:
        appended.close()
    script.shutdown()
    return 0
