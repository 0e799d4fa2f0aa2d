"""Time as Azure writes it. Everything that needs the time takes a `Clock`, so that tests own it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def iso(moment: dt.datetime) -> str:
    """ISO 8601 with microseconds and Z: what ARM's `systemData` and run history carry."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now_iso() -> str:
    return iso(utc_now())


def now_ms() -> int:
    """Milliseconds since the epoch: MLflow's unit of time."""
    return int(utc_now().timestamp() * 1000)


def parse_iso(text: str) -> dt.datetime:
    """Read an ISO 8601 timestamp; without an offset it is UTC. Raises ValueError."""
    moment = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def parse_duration(text: str) -> float:
    """Seconds of an ISO 8601 duration of days and smaller (`PT2M`, `P1DT2H`). Raises ValueError."""
    match = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", text.strip())
    if not match or not any(match.groups()):
        raise ValueError(f"'{text}' is not an ISO 8601 duration such as PT120S or PT2H")
    days, hours, minutes, seconds = (float(g) if g else 0.0 for g in match.groups())
    return days * 86400 + hours * 3600 + minutes * 60 + seconds
