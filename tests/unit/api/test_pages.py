"""Listings of what has rows and what has none, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from lazulite.api import crud

ALL = [({"name": str(n)}, n) for n in range(7, 0, -1)]


def newest_first(after: int | None, limit: int) -> list[tuple[dict[str, Any], int]]:
    return [(item, n) for item, n in ALL if after is None or n < after][:limit]


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
@pytest.mark.parametrize("taken", [0, 1, 2])
def test_what_has_no_row_follows_page_by_page(limit: int, taken: int) -> None:
    seen: list[str] = []
    token: int | None = 0
    room = max(limit - taken, 0)
    pages = 0
    while token is not None:
        after = token - crud._VIRTUAL
        items, token = crud._virtual_page(room, after, newest_first)
        assert len(items) <= room
        seen += [item["name"] for item in items]
        room, pages = limit, pages + 1
        assert pages < 20
    assert seen == [item["name"] for item, _ in ALL]
