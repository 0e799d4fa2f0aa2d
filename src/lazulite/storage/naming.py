"""Azure's rules for names and metadata."""

from __future__ import annotations

import re

from lazulite.storage.errors import StorageError

_CONTAINER = re.compile(r"[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){2,62}")
_SYSTEM = ("$root", "$web", "$logs")
_METADATA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_METADATA_BYTES = 8 * 1024
MAX_BLOB_NAME = 1024


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


def metadata(headers: dict[str, str]) -> dict[str, str]:
    """The `x-ms-meta-*` headers. Raises StorageError 400 for names or sizes that Azure refuses."""
    found = {name[10:]: value for name, value in headers.items() if name.startswith("x-ms-meta-")}
    for name in found:
        if not name:
            raise StorageError("EmptyMetadataKey", "A metadata header has no name after x-ms-meta-.")
        if not _METADATA_NAME.fullmatch(name):
            raise StorageError(
                "InvalidMetadata", f"'{name}' cannot be the name of metadata: it must be a C# identifier."
            )
    if sum(len(name) + len(value.encode()) for name, value in found.items()) > _MAX_METADATA_BYTES:
        raise StorageError("MetadataTooLarge", "The metadata is larger than 8 KiB.")
    return found
