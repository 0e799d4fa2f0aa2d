"""What the machine refuses: a full disk, a locked or damaged database. One translation for every way in."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from lazulite.core.errors import ApiError

#: SQLite's primary result codes.
_BUSY, _LOCKED, _READONLY, _INTERRUPT, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 5, 6, 8, 9, 10, 11, 13, 14, 26
_PRIMARY = 0xFF


def trouble(raised: BaseException) -> ApiError | None:
    """The refusal that says what to do, where `raised` comes from the machine and from no fault of ours, else None."""
    for error in _chain(raised):
        found = _of_system(error) if isinstance(error, OSError) else _of_sqlite(error) or _of_postgres(error)
        if found is not None:
            return found
    return None


def is_full(raised: BaseException) -> bool:
    """Whether a disk had no more room."""
    found = trouble(raised)
    return found is not None and found.status == 507


def _chain(raised: BaseException) -> Iterator[BaseException]:
    """An error, the driver's own below it, and those that led to it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [raised]
    while waiting:
        error = waiting.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        waiting += [error.__context__, error.__cause__, getattr(error, "orig", None)]


def _of_system(error: OSError) -> ApiError | None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full()
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return _later("ServerBusy", "The server has as many files open as its limit allows (`ulimit -n`).")
    if error.errno == errno.EROFS:
        return _later("StorageUnavailable", "The disk of the server's home is mounted read-only: mount it for writing.")
    return None


def _of_sqlite(error: BaseException) -> ApiError | None:
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(code, int):
        return None
    code &= _PRIMARY
    if code == _FULL:
        return _full()
    if code in (_BUSY, _LOCKED):
        return _locked()
    if code in (_CORRUPT, _NOTADB):
        return _damaged()
    if code in (_IOERR, _READONLY, _CANTOPEN):
        return _later(
            "DatabaseUnavailable",
            f"The database file cannot be read or written ({error}): see whether its disk is full or failing, and "
            "whether the file and its folder belong to the server's user.",
        )
    return _stopping() if code == _INTERRUPT else None


def _of_postgres(error: BaseException) -> ApiError | None:
    state = getattr(error, "sqlstate", "")
    if state == "53100":
        return _full()
    if state == "55P03":
        return _locked()
    if state == "57014":
        return _stopping()
    lost = state is None and type(error).__name__ == "OperationalError"
    if lost or (isinstance(state, str) and state[:2] in ("08", "53", "57")):
        return _later("DatabaseUnavailable", f"The database does not answer: {error}. See whether its server runs.")
    return None


def _full() -> ApiError:
    return ApiError(
        507,
        "InsufficientStorage",
        "The disk is full: nothing of this request was kept. Make room on the disk of the server's home, or delete jobs "
        "and assets; the server goes on by itself once there is room.",
    )


def _locked() -> ApiError:
    return _later(
        "DatabaseLocked",
        "Another program holds the database locked, and has not let go in time: end it (`fuser -v <home>/lazulite.db` "
        "names it), and send the request again. Nothing of this request was kept.",
    )


def _damaged() -> ApiError:
    return _later(
        "DatabaseDamaged",
        "The database file is damaged: stop the server (`lazulite down`), put a copy of <home>/lazulite.db in its place, "
        "or save what can be read with `sqlite3 lazulite.db .recover`.",
    )


def _stopping() -> ApiError:
    return _later("ServerBusy", "The server is stopping, and ended what it was at. Send the request to the next one.")


def _later(code: str, message: str) -> ApiError:
    return ApiError(503, code, message, headers={"Retry-After": "5"})
