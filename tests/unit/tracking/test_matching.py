from __future__ import annotations

import re
import time

import pytest

from lazulite.tracking.matching import is_like


@pytest.mark.parametrize(
    "pattern", ["", "%", "a", "a%", "%a", "a_c", "%b%", "a%c", "a%a", "%_", "_%_%_%_", "ab%bc", "%%", "."]
)
@pytest.mark.parametrize("text", ["", "a", "abc", "ABC", "aa", "abbc", "a\nc", "."])
def test_it_is_sqls_like(text: str, pattern: str) -> None:
    expression = "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern)
    for ignore, flag in ((False, 0), (True, re.IGNORECASE)):
        assert is_like(text, pattern, ignore_case=ignore) == bool(re.fullmatch(expression, text, re.DOTALL | flag))


def test_no_pattern_takes_long() -> None:
    begun = time.perf_counter()
    assert not is_like("a" * 5000, "%a" * 500 + "%b")
    assert time.perf_counter() - begun < 1
