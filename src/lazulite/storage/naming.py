"""Azure's rules for names and metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lazulite.storage.errors import StorageError

_CONTAINER = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){2,62}")
_SYSTEM = ("$root", "$web", "$logs")
_METADATA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_METADATA_BYTES = 8 * 1024
MAX_BLOB_NAME = 1024
METADATA_HEADER = "x-ms-meta-"
#: Where a scope holds the names of its metadata headers as the client spelled them (bytes), in their order.
SPELLED_NAMES = "lazulite.metadata_names"


def check_container(name: str) -> None:
    """Raise StorageError 400 unless Azure would take the name for a container."""
    if not (_CONTAINER.fullmatch(name) or name in _SYSTEM):
        raise StorageError(
            "InvalidResourceName",
            f"'{name[:80]}' cannot be the name of a container: 3 to 63 lower-case letters, digits and single hyphens, "
            "beginning and ending with a letter or digit.",
        )


def check_blob(name: str) -> None:
    """Raise StorageError 400 unless Azure would take the name for a blob."""
    if len(name) > MAX_BLOB_NAME:
        raise StorageError("InvalidResourceName", f"The blob's name has {len(name)} characters; 1,024 are the limit.")
    if "\0" in name:
        raise StorageError("InvalidResourceName", "The blob's name holds a NUL character.")


class HeaderName(bytes):
    """A header's name that is sent as it is spelled: the protocol beneath writes every name's `lower()`."""

    def lower(self) -> bytes:
        return self


def metadata(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Metadata from names as they are spelled, and values.

    Names keep their case, and two that differ in nothing else are one. Raises StorageError 400 for names or sizes that
    Azure refuses.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if not name:
            raise StorageError("EmptyMetadataKey", "A metadata header has no name after x-ms-meta-.")
        if not _METADATA_NAME.fullmatch(name):
            raise StorageError(
                "InvalidMetadata", f"'{name}' cannot be the name of metadata: it must be a C# identifier."
            )
        add_metadata(found, name, value)
    if sum(len(name) + len(value.encode()) for name, value in found.items()) > _MAX_METADATA_BYTES:
        raise StorageError("MetadataTooLarge", "The metadata is larger than 8 KiB.")
    return found


def add_metadata(found: dict[str, str], name: str, value: str) -> None:
    """Raises StorageError 400 for a name that is there already, in whatever case."""
    if other := next((known for known in found if known.lower() == name.lower()), None):
        raise StorageError(
            "InvalidMetadata", f"The metadata has '{other}' and '{name}': names that differ in case alone are one."
        )
    found[name] = value
