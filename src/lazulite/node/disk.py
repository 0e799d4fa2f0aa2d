"""A disk that takes no more: telling it from other errors, and saying so."""

import errno
import os

FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in FULL


def full(path: str) -> str:
    """What a run says whose files do not fit."""
    return (
        f"The disk of {path} is full{left(path)}, and what the job writes does not fit: delete what is not needed there, "
        "or move the platform's home to a larger disk."
    )


def left(path: str) -> str:
    try:
        found = os.statvfs(path)
    except OSError:
        return ""
    return f" ({found.f_bavail * found.f_frsize >> 20} of {found.f_blocks * found.f_frsize >> 20} MiB are free)"
