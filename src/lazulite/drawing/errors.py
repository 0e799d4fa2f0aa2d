"""What went wrong, in a line: the exception where there is one, else how the process ended and what it wrote last."""

from __future__ import annotations

import re

#: Characters of an error that a picture shows.
_MOST = 300
_LONG_WINDED = (
    (re.compile(r" Please check log file '[^']*' for error details\."), ""),
    (re.compile(r"^Execution failed\. The user's process "), "The process "),
    (re.compile(r" CliV2AnonymousEnvironment:[0-9a-f]+"), ""),
    (re.compile(r"/[^\s'\"]*/(?:exe|data-capability)/wd/"), ""),
    (re.compile(r"^\d{4}-\d\d-\d\d[ T][\d:.,]+Z? "), ""),
)
#: What MLflow writes at the end of each run.
_MLFLOW = ("🏃 View run", "🧪 View experiment")
_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Interrupt)(?::|$)")
_TELLING = re.compile(
    r"error|fail|not found|no such|denied|cannot|can't|unable|invalid|refused|read-only", re.IGNORECASE
)
_ENDING = re.compile(r"process (?:exited with|was ended by) [^.]*")


def in_a_line(message: str) -> str:
    """The line of a job's whole error that a person looks for first."""
    first, _, said = message.strip().partition("\nError: ")
    lines = [line for line in said.strip().splitlines() if not line.startswith(_MLFLOW)]
    line = _raised(lines) or (_last(first, lines[-1]) if lines else next(iter(first.splitlines()), ""))
    # Cut before it is shortened too: a line may be as long as what the process wrote.
    line = _shortened(line.strip()[: 4 * _MOST])
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"


def _raised(lines: list[str]) -> str:
    """The line of the last exception, whatever was written after it; the head of a long traceback may be missing."""
    found, inside = "", False
    for line in lines:
        if line.startswith(_TRACEBACK):
            inside = True
        elif _EXCEPTION.match(line[:_MOST]) or (inside and line[:1].strip()):
            found, inside = line, False
    return found


def _last(first: str, line: str) -> str:
    """The last line alone where it speaks of an error; else the process's end comes before it."""
    ending = None if _TELLING.search(line[: 4 * _MOST]) else _ENDING.search(first)
    return f"The {ending[0]}; it last wrote: {line.strip()}" if ending else line


def _shortened(line: str) -> str:
    """Without what is the same everywhere, and what says nothing to a person."""
    for pattern, shorter in _LONG_WINDED:
        line = pattern.sub(shorter, line)
    return line
