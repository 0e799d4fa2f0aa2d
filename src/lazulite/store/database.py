"""One writer that commits groups, many readers.

Every write goes through one thread, which takes all the writes that wait, runs each inside its own savepoint and
commits them together (SQLite: WAL, synchronous=FULL): an acknowledged write is on the disk, and a thousand waiting
writers share one fsync. On PostgreSQL the thread's connection holds an advisory lock: what a write has read cannot change
before it commits, there as on SQLite, and a second server on the same database is refused.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lazulite.core.errors import ApiError, bad_request
from lazulite.core.extras import install_command
from lazulite.core.trouble import trouble
from lazulite.store import schema

T = TypeVar("T")
Listener = Callable[[frozenset[str]], None]
_GROUP_LIMIT = 512
#: A PostgreSQL backend tells others of up to 64 savepoints cheaply.
_GROUP_LIMIT_POSTGRES = 60
_LOCK, _LOCK_WAIT = 0x1A2711E, "15s"  # longer than PostgreSQL takes to notice that a killed server is gone
_MOMENT_S = 1.0
_PATIENCE_S = 0.02  # how long a reader waits for the one before it
_CHANGED = "lazulite_changed"
_BEGIN = "lazulite_begin"
_UNTIL = "lazulite_until"  # when a read must have come to its end
_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: about a millisecond


class DatabaseUnusable(Exception):
    """There is no using the database; the message says why."""


class Database:
    """Durable state. `write` and `read` run a function with a SQLAlchemy connection off the event loop.

    >>> value = await database.read(lambda c: c.scalar(sa.text("select 1")))
    """

    def __init__(self, url: str, *, busy_s: float = 30.0, read_s: float = 30.0) -> None:
        """`busy_s` is how long another program's lock on SQLite's file is waited for, `read_s` what a read may take.

        Raises DatabaseUnusable and `schema.WrongSchema`.
        """
        self.engine, self._writing = _engines(url, busy_s, read_s)
        self._read_s = read_s
        self._sqlite = self.engine is self._writing
        self._group_limit = _GROUP_LIMIT if self._sqlite else _GROUP_LIMIT_POSTGRES
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="store-read")
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._reading = threading.Lock()
        self._reading_now: set[Any] = set()  # the driver's connections that are at work
        self._writing_now: set[Any] = set()
        self._listeners: list[Listener] = []
        try:
            with self._writing.begin() as connection:
                schema.ensure(connection)
        except sa.exc.DBAPIError as error:
            raise DatabaseUnusable(_why(self.engine.url, error)) from None
        self._writer = threading.Thread(target=self._write_loop, name="store-write", daemon=True)
        self._writer.start()

    async def write(self, function: Callable[[Connection], T]) -> T:
        """Run `function` in a transaction; return its result once it is durable.

        Whatever it raises undoes that function's changes alone and is raised here. Never do I/O inside it.
        """
        return await asyncio.wrap_future(self._submit(function))

    def write_sync(self, function: Callable[[Connection], T]) -> T:
        """`write` for threads without an event loop. Not to be called from one."""
        return self._submit(function).result()

    async def read(self, function: Callable[[Connection], T]) -> T:
        """Run `function` on a consistent snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_sync, function)

    def read_sync(self, function: Callable[[Connection], T]) -> T:
        """`read` for threads without an event loop."""
        with self._turn(), self.engine.connect() as connection, _noted(connection, self._reading_now):
            until = connection.info[_UNTIL] = time.monotonic() + self._read_s
            try:
                return function(connection)
            except (sa.exc.DataError, OverflowError) as error:
                raise _refused(error) from error
            except sa.exc.OperationalError as error:
                if time.monotonic() < until:
                    raise
                raise _too_long(self._read_s) from error
            finally:
                connection.info.pop(_UNTIL, None)

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with the keys that `changed` named, after each commit, from the writer's thread."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Finish what was submitted and close; what takes longer than a moment is interrupted. Idempotent."""
        self._queue.put(None)
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._interrupt(self._reading_now)
        self._writer.join(_MOMENT_S)
        if self._writer.is_alive():
            self._interrupt(self._writing_now)
            self._writer.join(_MOMENT_S)
        self._writing.dispose()
        self.engine.dispose()

    def _interrupt(self, drivers: set[Any]) -> None:
        """End the statements that run, until nothing does or a moment is over: functions may start further ones."""
        deadline = time.monotonic() + _MOMENT_S
        while drivers and time.monotonic() < deadline:
            for driver in tuple(drivers):
                (driver.interrupt if self._sqlite else driver.cancel)()
            time.sleep(_PATIENCE_S)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One reader at a time, unless the one before is slow.

        SQLite's driver lets go of the interpreter's lock at each row: readers side by side spend three times as long
        passing it to one another as one after the other.
        """
        mine = self._sqlite and self._reading.acquire(timeout=_PATIENCE_S)
        try:
            yield
        finally:
            if mine:
                self._reading.release()

    def _submit(self, function: Callable[[Connection], T]) -> Future[T]:
        future: Future[T] = Future()
        self._queue.put(_Write(function, future))
        return future

    def _write_loop(self) -> None:
        connection = self._writing.connect().execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        try:
            while (first := self._queue.get()) is not None:
                group, ended = self._take(first)
                self._commit(connection, group)
                if ended:
                    return
        finally:
            connection.close()

    def _take(self, first: _Write) -> tuple[list[_Write], bool]:
        group = [first]
        with suppress(queue.Empty):
            while len(group) < self._group_limit:
                item = self._queue.get_nowait()
                if item is None:
                    return group, True
                group.append(item)
        return group, False

    def _commit(self, connection: Connection, group: list[_Write]) -> None:
        live = [write for write in group if write.future.set_running_or_notify_cancel()]
        try:
            connection.info[_CHANGED] = set()  # connects anew where the connection was lost
            with _noted(connection, self._writing_now), connection.begin():
                for write in live:
                    write.run(connection)
        except Exception as error:  # the commit itself failed: nothing of the group happened
            for write in live:
                write.future.set_exception(error)
            return
        changed = frozenset(connection.info[_CHANGED])
        for write in live:
            write.finish()
        if changed:
            for listener in self._listeners:
                listener(changed)


class _Write:
    """One function waiting for the writer, and how it went."""

    __slots__ = ("error", "function", "future", "result")

    def __init__(self, function: Callable[[Connection], Any], future: Future[Any]) -> None:
        self.function = function
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self, connection: Connection) -> None:
        # As plain statements: SQLAlchemy's own savepoint objects cost three times as much, and this is every write.
        connection.exec_driver_sql("SAVEPOINT one_write")
        before = set(connection.info[_CHANGED])
        try:
            self.result = self.function(connection)
            connection.exec_driver_sql("RELEASE SAVEPOINT one_write")
        except Exception as error:
            self.error = _refused(error) if isinstance(error, sa.exc.DataError | OverflowError) else error
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT one_write")
            connection.exec_driver_sql("RELEASE SAVEPOINT one_write")
            connection.info[_CHANGED] = before

    def finish(self) -> None:
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


@contextmanager
def _noted(connection: Connection, at_work: set[Any]) -> Iterator[None]:
    driver = connection.connection.driver_connection
    at_work.add(driver)
    try:
        yield
    finally:
        at_work.discard(driver)


def changed(connection: Connection, keys: Iterable[str]) -> None:
    """Announce, once this transaction has committed, that these resources changed: subscribers get the hint."""
    connection.info.setdefault(_CHANGED, set()).update(keys)


def _refused(error: sa.exc.DataError | OverflowError) -> ApiError:
    """A value that no database takes (a number beyond 64 bits), or PostgreSQL does not, such as text with a NUL."""
    if isinstance(error, OverflowError):
        return bad_request("A number of this request is beyond 64 bits, which is the most that can be kept.")
    return bad_request(f"The database cannot take a value of this request: {error.orig}")


def _too_long(limit_s: float) -> ApiError:
    return ApiError(
        400,
        "QueryTooExpensive",
        f"The database worked {limit_s:g} s at this request without an answer. Ask for less at a time: fewer conditions, "
        "keys to order by, ids or results.",
    )


def _engines(url: str, busy_s: float, read_s: float) -> tuple[Engine, Engine]:
    """What reads and what writes: the same for SQLite."""
    if url.startswith("sqlite"):
        engine = _sqlite(url, busy_s)
        return engine, engine
    try:
        return _postgres(url, read_s)
    except (ImportError, sa.exc.ArgumentError) as error:
        how = f"PostgreSQL needs an extra of Lazulite: {install_command('postgres')}"
        raise DatabaseUnusable(f"database_url: {error}. {how}") from None


def _postgres(url: str, read_s: float) -> tuple[Engine, Engine]:
    reading = sa.create_engine(
        url,
        pool_size=12,
        pool_pre_ping=True,
        isolation_level="REPEATABLE READ",
        connect_args={"options": f"-c statement_timeout={int(read_s * 1000)}"},
    )
    writing = sa.create_engine(url, pool_size=1, max_overflow=0)

    @sa.event.listens_for(writing, "connect")
    def _claim(dbapi_connection: Any, _record: Any) -> None:
        cursor = dbapi_connection.cursor()
        cursor.execute(f"set lock_timeout = '{_LOCK_WAIT}'")
        cursor.execute(f"select pg_advisory_lock({_LOCK})")
        cursor.execute("set lock_timeout = 0")
        dbapi_connection.commit()

    return reading, writing


def _why(url: sa.URL, error: sa.exc.DBAPIError) -> str:
    if getattr(error.orig, "sqlstate", None) == "55P03":
        return f"another server uses the database {url!r}; one database is one server's"
    found = trouble(error)
    todo = _TODO.get(found.code, "").format(file=url.database) if found is not None else ""
    return f"the database {url!r} cannot be used: {error.orig}{todo}"


_TODO = {
    "DatabaseLocked": ". Another program holds it: `fuser -v {file}` names it; end that one, and start again",
    "DatabaseDamaged": ". Put a copy of the database in its place, save what can be read with `sqlite3 {file} .recover`, "
    "or move it away to begin anew: `mv {file} {file}.broken; rm -f {file}-wal {file}-shm`",
    "DatabaseUnavailable": ". See whether the file and its folder belong to you and can be written, or whether the "
    "database's server runs",
    "InsufficientStorage": ". Make room on its disk, and start again",
}


def _sqlite(url: str, busy_s: float) -> Engine:
    engine = sa.create_engine(url, connect_args={"check_same_thread": False, "timeout": busy_s}, pool_size=8)

    @sa.event.listens_for(engine, "connect")
    def _configure(dbapi_connection: Any, record: Any) -> None:
        dbapi_connection.isolation_level = None  # SQLAlchemy's own BEGIN below, so that savepoints work
        dbapi_connection.set_progress_handler(
            lambda: time.monotonic() > record.info.get(_UNTIL, math.inf), _STEPS_BETWEEN_LOOKS
        )
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={int(busy_s * 1000)}",
            "cache_size=-65536",
        ):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Readers start deferred, so that they never wait. The writer takes its lock at once: only then does SQLite wait
        # for whoever holds it, and not where a transaction that has read comes to write.
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine
