"""Tests that look at many random cases: a few in `make test`, many in `make test-long`."""

from __future__ import annotations

import os

LONG = bool(os.environ.get("LAZULITE_TEST_LONG"))


def size(short: int, long: int) -> int:
    """How many cases, nodes or rounds a test of mark `long` looks at."""
    return long if LONG else short
