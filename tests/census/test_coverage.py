from __future__ import annotations

from tests.census import coverage


def test_the_page_is_what_would_be_written() -> None:
    assert coverage.FILE.read_text(encoding="utf-8") == coverage.document(), "run: python -m tests.census"
