"""Byte ranges, decided without I/O."""

from __future__ import annotations

import re

from lazulite.storage.errors import StorageError

_RANGE = re.compile(r"bytes=(\d{0,30})-(\d{0,30})")


def byte_range(text: str, size: int) -> tuple[int, int] | None:
    """(first, last) of the range within a blob of `size` bytes; None when the header is to be ignored.

    Several ranges or another unit are ignored, as HTTP allows. Raises StorageError 416 when nothing of it exists.
    """
    match = _RANGE.fullmatch(text.strip())
    if not match or match.groups() == ("", ""):
        return None
    first_text, last_text = match.groups()
    if not first_text:
        count = int(last_text)
        first, last = max(0, size - count), size - 1
        if count == 0:
            first = size
    else:
        first, last = int(first_text), min(int(last_text), size - 1) if last_text else size - 1
        if last_text and int(last_text) < first:
            return None
    if first >= size:
        raise StorageError(
            "InvalidRange",
            f"The range '{text}' lies beyond the end: the content has {size} bytes.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return first, last
