"""What a `run` gave back, as text, and the file that takes it in the order of the mini-batches."""

from __future__ import annotations

import os
from typing import Any

_NAME = "parallel_run_step.txt"


def count(result: Any) -> int:
    """How many items succeeded. Raises TypeError for what is no list, tuple, array or table of results."""
    if result is None or isinstance(result, (str, bytes, dict)) or not hasattr(result, "__len__"):
        kind = "nothing (None)" if result is None else f"a {type(result).__name__}"
        raise TypeError(f"run() returned {kind}, and must return a list, a tuple, an array or a pandas DataFrame.")
    return len(result)


def lines(result: Any) -> bytes:
    """A line for each row of a table or item of a list; names of files keep bytes that are no text."""
    if hasattr(result, "to_csv") and hasattr(result, "columns"):
        text: str = result.to_csv(sep=" ", index=False, header=False)
    else:
        text = "".join(f"{item}\n" for item in result)
    return text.encode("utf-8", "surrogateescape")


class Appended:
    """Takes the lines of mini-batches as they come and writes them in order. Without a target it drops them."""

    def __init__(self, target: str | None) -> None:
        self._waiting: dict[int, bytes] = {}
        self._next = 0
        self._file = None
        if target:
            path = os.path.join(target, _NAME) if os.path.isdir(target) else target
            self._file = open(path, "wb")  # noqa: SIM115 (closed by `close`)

    def add(self, number: int, found: bytes) -> None:
        """The lines of a mini-batch; none for one that failed for good."""
        if self._file is None:
            return
        self._waiting[number] = found
        while self._next in self._waiting:
            self._file.write(self._waiting.pop(self._next))
            self._next += 1

    def close(self) -> None:
        """Write also what waits for mini-batches that never came."""
        if self._file is None:
            return
        for number in sorted(self._waiting):
            self._file.write(self._waiting[number])
        self._file.close()
