from __future__ import annotations

import errno
import sqlite3

import pytest

from lazulite.core.trouble import is_full, trouble


def _sqlite(code: int, message: str = "told by SQLite") -> sqlite3.Error:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


def _postgres(state: str | None) -> Exception:
    error = type("OperationalError", (Exception,), {"sqlstate": state})("told by PostgreSQL")
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 507, "InsufficientStorage"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 507, "InsufficientStorage"),
        (OSError(errno.EMFILE, "Too many open files"), 503, "ServerBusy"),
        (OSError(errno.EROFS, "Read-only file system"), 503, "StorageUnavailable"),
        (_sqlite(sqlite3.SQLITE_FULL), 507, "InsufficientStorage"),
        (_sqlite(sqlite3.SQLITE_BUSY), 503, "DatabaseLocked"),
        (_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), 503, "DatabaseLocked"),
        (_sqlite(sqlite3.SQLITE_CORRUPT), 503, "DatabaseDamaged"),
        (_sqlite(sqlite3.SQLITE_NOTADB), 503, "DatabaseDamaged"),
        (_sqlite(sqlite3.SQLITE_IOERR_FSYNC), 503, "DatabaseUnavailable"),
        (_sqlite(sqlite3.SQLITE_INTERRUPT), 503, "ServerBusy"),
        (_postgres("53100"), 507, "InsufficientStorage"),
        (_postgres("57P01"), 503, "DatabaseUnavailable"),
        (_postgres(None), 503, "DatabaseUnavailable"),
    ],
)
def test_what_the_machine_refuses_says_what_to_do(raised: Exception, status: int, code: str) -> None:
    found = trouble(raised)
    assert found is not None
    assert (found.status, found.code) == (status, code)
    assert ("Retry-After" in found.headers) == (status == 503)
    assert is_full(raised) == (status == 507)


def test_the_first_reason_counts() -> None:
    """A full disk undoes the transaction, so that the savepoint is missed next."""
    missed = _sqlite(sqlite3.SQLITE_ERROR, "no such savepoint")
    missed.__context__ = _sqlite(sqlite3.SQLITE_FULL)
    assert is_full(missed)


@pytest.mark.parametrize(
    "raised", [ValueError("ours"), FileNotFoundError(errno.ENOENT, "gone"), _sqlite(sqlite3.SQLITE_CONSTRAINT)]
)
def test_our_own_faults_are_no_trouble(raised: Exception) -> None:
    assert trouble(raised) is None
