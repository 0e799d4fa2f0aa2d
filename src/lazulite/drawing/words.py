"""How states, times and texts of users are written, in pictures and on terminals."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

from lazulite.core.numbers import whole_number
from lazulite.drawing.state import Node, rank

#: Kinds of states, each with a colour and a sign of its own.
KINDS = {
    "Failed": "failed",
    "Canceled": "canceled",
    "CancelRequested": "canceled",
    "Running": "running",
    "Finalizing": "running",
    "Starting": "preparing",
    "Preparing": "preparing",
    "Provisioning": "preparing",
    "Queued": "queued",
    "NotStarted": "waiting",
    "NotRun": "skipped",
    "Completed": "completed",
    "Skipped": "skipped",
}
_NODES = {"command": "", "if_else": "choice", "do_while": "loop", "parallel_for": "loop over items"}
_HARMLESS = {"Completed", "Skipped"}


def kind_of(state: str) -> str:
    return KINDS.get(state, "waiting")


def kind_word(kind: str) -> str:
    """What a node is, where it is not just a command."""
    return _NODES.get(kind, kind)


def state_word(state: str) -> str:
    """`NotStarted` as `not started`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", printable(state)).lower()


def printable(text: str) -> str:
    """A text of a user in one line, without what a terminal obeys, XML forbids or turns the line around."""
    return "".join(char if char.isprintable() else " " for char in text)


def duration(began: dt.datetime | None, ended: dt.datetime | None, now: dt.datetime) -> str:
    """`0.45 s`, `1 m 12 s`, `2 h 05 m`; up to `now` where there is no end yet, empty without a begin."""
    if began is None:
        return ""
    seconds = max(0.0, ((ended or now) - began).total_seconds())
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} m"


def time_of(node: Node, now: dt.datetime) -> str:
    """How long a node took or has taken; nothing for what did not run by itself."""
    if node.reused or node.kind == "if_else" or kind_of(node.state) in ("waiting", "skipped", "queued"):
        return ""
    return duration(node.began, node.ended, now)


def counts(tally: Mapping[str, int]) -> str:
    """`3 completed · 1 failed`, the worst first."""
    told = sorted(tally.items(), key=lambda pair: rank(pair[0]))
    return " · ".join(f"{count:,} {state_word(state)}" for state, count in told)


def summary(tally: Mapping[str, int]) -> str:
    """`4 steps: 1 failed · 3 completed`."""
    steps = sum(tally.values())
    return f"{steps:,} step{'' if steps == 1 else 's'}: {counts(tally)}"


def share(tally: Mapping[str, int]) -> float:
    """How much of it is over and well, from 0 to 1."""
    return sum(count for state, count in tally.items() if state in _HARMLESS) / max(1, sum(tally.values()))


def in_order(name: str) -> list[tuple[int, str]]:
    """A key to sort names by: `body[2]` before `body[10]`."""
    return [
        (-1, part) if (number := whole_number(part)) is None else (number, "") for part in re.split(r"([0-9]+)", name)
    ]
