"""The driver: it hands mini-batches to workers, tries failed ones again, and says how the job came out."""

from __future__ import annotations

import collections
import sys
import time
from multiprocessing.connection import wait

from . import inline
from . import settings as asked
from .batches import Division, divide
from .report import Report
from .results import Appended
from .settings import InputError, Settings
from .workers import IDLE, LOADING, RUNNING, STARTING, Worker

_TICK_S = 5.0


class Stopped(Exception):
    """The job cannot go on; the message says why."""


def main(arguments: list[str]) -> int:
    """0 where the job came out as its thresholds bear, else 1."""
    try:
        settings = asked.load(arguments)
        division = divide(settings)
    except InputError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return inline.run(settings, division) if inline.is_wanted() else Driver(settings, division).run()


class Driver:
    def __init__(self, settings: Settings, division: Division) -> None:
        self._settings = settings
        self._division = division
        self._batches = division.batches
        self._waiting = collections.deque((batch, 0) for batch in division.batches)
        self._report = Report(settings, len(division.batches), division.description)
        self._appended = Appended(settings.append_to)
        self._workers: list[Worker] = []
        self._results = 0
        self._moved = time.monotonic()

    def run(self) -> int:
        count = min(self._settings.instances * self._settings.workers_per_instance, len(self._batches))
        self._report.began(count)
        why: str | None = None
        try:
            for number in range(count):
                instance, place = divmod(number, self._settings.workers_per_instance)
                self._workers.append(Worker(self._settings, self._division.table, instance, place))
            while self._waiting or any(worker.batch is not None for worker in self._workers):
                self._turn()
                self._check(over=False)
            self._check(over=True)
        except Stopped as stopped:
            why = str(stopped)
        finally:
            self._end()
        self._report.ended(why)
        return 1 if why else 0

    def _turn(self) -> None:
        """Give work to whoever has none, and take what comes first."""
        for worker in self._workers:
            if worker.state == IDLE and self._waiting:
                worker.give(*self._waiting.popleft())
        pipes: dict[object, Worker] = {w.pipe: w for w in self._workers if w.state != IDLE}
        patience = min([_TICK_S, *(max(0.0, worker.left()) for worker in pipes.values())])
        ready = wait(list(pipes), timeout=patience)  # type: ignore[arg-type]
        for pipe, worker in pipes.items():
            if pipe in ready:
                self._take(worker)
            elif worker.left() <= 0:
                self._overdue(worker)
        self._report.tick()

    def _take(self, worker: Worker) -> None:
        try:
            said = worker.said()
        except EOFError:
            self._died(worker)
            return
        kind = said[0]
        if kind == "broken":
            self._report.error(worker, None, said[1])
            raise Stopped("the entry script could not be loaded, or its init() failed")
        if kind == "ready":
            worker.enter(IDLE)
        elif kind == "loaded":
            worker.items = said[1]
            worker.enter(RUNNING)
        elif kind == "done":
            self._done(worker, said[1], said[2], said[3])
        else:
            self._failed(worker, said[1])
            worker.batch = None
            worker.enter(IDLE)

    def _done(self, worker: Worker, succeeded: int, lines: bytes, took: float) -> None:
        assert worker.batch is not None
        self._moved = time.monotonic()
        self._results += succeeded
        self._report.done(worker, max(0, worker.items - succeeded), took)
        self._appended.add(worker.batch.number, lines)
        worker.batch = None
        worker.enter(IDLE)

    def _failed(self, worker: Worker, error: str) -> None:
        """A try of a mini-batch came to nothing: again, or never."""
        batch = worker.batch
        assert batch is not None
        self._moved = time.monotonic()
        again = worker.tried < self._settings.max_retries
        self._report.failed(worker, error, again)
        if again:
            self._waiting.append((batch, worker.tried + 1))
        else:
            self._appended.add(batch.number, b"")

    def _died(self, worker: Worker) -> None:
        how = worker.ending()
        if worker.batch is None:
            self._report.error(worker, None, f"{worker.stack()}the worker process {how}")
            raise Stopped(f"a worker process {how} while it loaded the entry script: see logs/user/stderr")
        self._failed(worker, f"{worker.stack()}its worker process {how}")
        worker.replace()

    def _overdue(self, worker: Worker) -> None:
        seconds = f"{worker.allowed():g} seconds"
        if worker.state == STARTING:
            self._report.error(worker, None, f"{worker.stack()}init() took longer than {seconds}")
            raise Stopped(f"init() of the entry script took longer than {seconds} (first_task_creation_timeout)")
        setting = "task_overhead_timeout" if worker.state == LOADING else "retry_settings.timeout"
        doing = "loading its data" if worker.state == LOADING else "run()"
        self._failed(worker, f"{worker.stack()}{doing} took longer than {seconds} ({setting})")
        worker.replace()

    def _check(self, over: bool) -> None:
        """Raises Stopped once more has failed than the thresholds bear."""
        settings, report = self._settings, self._report
        for name, threshold, count, what in (
            ("mini_batch_error_threshold", settings.mini_batch_error_threshold, report.failed_batches, "mini-batches"),
            ("error_threshold", settings.error_threshold, report.failed_items, "items"),
        ):
            if 0 <= threshold < count:
                raise Stopped(f"{count} {what} failed, and {name} bears {threshold}")
        percent = 100 * report.failed_batches / len(self._batches)
        if over and percent > settings.allowed_failed_percent:
            bears = f"allowed_failed_percent bears {settings.allowed_failed_percent:g}"
            raise Stopped(f"{percent:.3g} percent of the mini-batches failed, and {bears}")
        if over and settings.append_to and not self._results:
            raise Stopped("run() returned not one result, and append_row_to needs some")
        quiet = time.monotonic() - self._moved
        if not over and 0 < settings.progress_update_timeout < quiet:
            raise Stopped(f"no mini-batch ended for {quiet:.0f} seconds (progress_update_timeout)")

    def _end(self) -> None:
        for worker in self._workers:
            worker.release()
        for worker in self._workers:
            trouble = worker.join()
            if trouble:
                self._report.warn(f"{worker.name}: {trouble}")
        self._appended.close()
