"""Tests that look at many random cases, a few in `make test` and many in `make test-long`; and those of that one alone."""

from __future__ import annotations

import os
from typing import Any

import pytest

LONG = bool(os.environ.get("LAZULITE_TEST_LONG"))


def size(short: int, long: int) -> int:
    """How many cases, nodes or rounds a test of mark `long` looks at."""
    return long if LONG else short


def only_long(test: Any) -> Any:
    """A test of half a minute whose parts `make test` tries one by one."""
    skipped = pytest.mark.skipif(not LONG, reason="make test-long runs it")
    return pytest.mark.long(skipped(test))
