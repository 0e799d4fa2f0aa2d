"""Ports are kept from one start of a home to the next, so that links in notebooks and browsers stay good."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

_NOTE = "ports.json"


def last(home: Path) -> dict[str, int]:
    """`port` and `http_port` of the last server of this home; empty before the first."""
    try:
        document = json.loads((home / _NOTE).read_text())
        return {name: int(document[name]) for name in ("port", "http_port")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def remember(home: Path, port: int, http_port: int) -> None:
    """For the next start. It is a convenience: a full disk does not keep the server from starting."""
    with contextlib.suppress(OSError):
        (home / _NOTE).write_text(json.dumps({"port": port, "http_port": http_port}) + "\n")
