"""The hash under which the SDK stores a code folder (its algorithm 202208)."""

import os

from . import files


def of_folder(root: str) -> str:
    """SHA-256 over the count of files, each name and size, then each content, in the order of lower-cased names."""
    import hashlib  # slow to import, and most runs hash nothing

    listing = sorted(files.walk(root), key=lambda entry: entry[1].lower())
    digest = hashlib.sha256(str(len(listing)).encode())
    for path, name in listing:
        digest.update(f"#{name}#{os.path.getsize(path)}".encode())
    for path, _ in listing:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
