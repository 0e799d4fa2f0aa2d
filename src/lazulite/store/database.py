"""One writer that commits groups, many readers.

On SQLite every write goes through one thread, which takes all the writes that wait, runs each inside its own
savepoint and commits them together (WAL, synchronous=FULL): an acknowledged write is on the disk, and a thousand
waiting writers share one fsync. On PostgreSQL writes are ordinary transactions on a pool.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from lazulite.store import schema

T = TypeVar("T")
Listener = Callable[[frozenset[str]], None]
_GROUP_LIMIT = 512
_PATIENCE_S = 0.02  # how long a reader waits for the one before it
_CHANGED = "lazulite_changed"


class Database:
    """Durable state. `write` and `read` run a function with a SQLAlchemy connection off the event loop.

    >>> value = await database.read(lambda c: c.scalar(sa.text("select 1")))
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._sqlite = self.engine.dialect.name == "sqlite"
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="store-read")
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._reading = threading.Lock()
        self._listeners: list[Listener] = []
        with self.engine.begin() as connection:
            schema.ensure(connection)
        writers = 1 if self._sqlite else 4
        self._writers = [
            threading.Thread(target=self._write_loop, name=f"store-write-{n}", daemon=True) for n in range(writers)
        ]
        for thread in self._writers:
            thread.start()

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
        with self._turn(), self.engine.connect() as connection:
            return function(connection)

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with the keys that `changed` named, after each commit, from the writer's thread."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Finish what was submitted and close. Idempotent."""
        for _ in self._writers:
            self._queue.put(None)
        for thread in self._writers:
            thread.join(timeout=30)
        self._readers.shutdown(wait=True)
        self.engine.dispose()

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
        connection = self.engine.connect()
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
        limit = _GROUP_LIMIT if self._sqlite else 1
        with suppress(queue.Empty):
            while len(group) < limit:
                item = self._queue.get_nowait()
                if item is None:
                    return group, True
                group.append(item)
        return group, False

    def _commit(self, connection: Connection, group: list[_Write]) -> None:
        live = [write for write in group if write.future.set_running_or_notify_cancel()]
        connection.info[_CHANGED] = set()
        try:
            with connection.begin():
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
            self.error = error
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT one_write")
            connection.exec_driver_sql("RELEASE SAVEPOINT one_write")
            connection.info[_CHANGED] = before

    def finish(self) -> None:
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


def changed(connection: Connection, keys: Iterable[str]) -> None:
    """Announce, once this transaction has committed, that these resources changed: subscribers get the hint."""
    connection.info.setdefault(_CHANGED, set()).update(keys)


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url, pool_size=12, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"check_same_thread": False, "timeout": 30}, pool_size=8)

    @sa.event.listens_for(engine, "connect")
    def _configure(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None  # SQLAlchemy's own BEGIN below, so that savepoints work
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "cache_size=-65536"):
            dbapi_connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Readers start deferred, so that they never wait; the writer takes its lock when it first writes.
        connection.exec_driver_sql("BEGIN")

    return engine
