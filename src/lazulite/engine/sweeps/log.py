"""The log of a sweep, `azureml-logs/hyperdrive.txt` among its run's artifacts: the file that clients follow.

What it says is kept in the store; the file is brought up to it, so that a crash in between loses and doubles no line.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

FILE = "azureml-logs/hyperdrive.txt"


def bring_up(path: Path, lines: Sequence[str], written: int | None) -> int:
    """Append the lines that the file does not have yet; return how many it has then.

    `written` is what an earlier call returned, None to look into the file. A line cut short by a crash is made whole.
    """
    if written is None:
        written = _whole_lines(path)
    if written < len(lines):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines[written:])
    return max(written, len(lines))


def line(at: str, text: str) -> str:
    """One line, whatever the text holds."""
    return f"[{at}] " + " ".join(text.split())


def _whole_lines(path: Path) -> int:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return content.count(b"\n")
