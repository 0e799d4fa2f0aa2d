"""How a blob's name maps to a path below its container's folder, and back.

Segment by segment, unchanged, but for what a file system cannot hold: a segment that is empty, `.`, `..` or begins with
the escape itself is written with the escape in front (`a//b` lies at `a/.lz%/b`). A file whose name is not the escaped
form of anything (`.lz%x`, put there by hand) is no blob. Segments over 255 bytes are refused.
"""

from __future__ import annotations

from lazulite.core.paths import MAX_SEGMENT_BYTES
from lazulite.storage.errors import StorageError

ESCAPE = ".lz%"
_SPECIAL = ("", ".", "..")


def path_parts(name: str) -> list[str]:
    """The path segments of a blob's name. Raises StorageError 400 for what no file system holds."""
    parts = name.split("/")
    for index, part in enumerate(parts):
        if part in _SPECIAL or part.startswith(ESCAPE):
            parts[index] = part = ESCAPE + part
        if len(part) > 63 and len(part.encode()) > MAX_SEGMENT_BYTES:
            raise StorageError(
                "InvalidResourceName",
                f"The segment '{part[:40]}...' of the name is longer than {MAX_SEGMENT_BYTES} bytes, "
                "which a folder cannot hold; put slashes into the name.",
            )
    return parts


def segment_name(part: str) -> str | None:
    """The name of one path segment as blobs spell it; None when no blob's segment is stored so."""
    if part.startswith(ESCAPE):
        plain = part[len(ESCAPE) :]
        return plain if plain in _SPECIAL or plain.startswith(ESCAPE) else None
    try:
        part.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8 cannot be written in a URL
        return None
    return part
