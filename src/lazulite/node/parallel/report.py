"""How a parallel job goes on, for people: lines of the job's log, and files below `logs` under Azure's names."""

from __future__ import annotations

import collections
import csv
import os
import sys
import time
from collections import Counter

from .settings import WITHOUT_EFFECT, Settings
from .workers import Worker

OVERVIEW = os.path.join("logs", "job_progress_overview.txt")
RESULT = os.path.join("logs", "job_result.txt")
ERRORS = os.path.join("logs", "user", "error.txt")
PROCESSED = os.path.join("logs", "sys", "job_report", "processed_mini-batches.csv")
_EVERY_S = 2.0
_SHOWN_ERRORS = 20
_COLUMNS = ("mini-batch", "instance", "process", "try", "status", "items", "failed items", "seconds", "run seconds")


class Report:
    """Counts what happened; `failed_batches` and `failed_items` are those that failed for good."""

    def __init__(self, settings: Settings, total: int, description: str) -> None:
        self.failed_batches = 0
        self.failed_items = 0
        self._processed = 0
        self._retries = 0
        self._settings = settings
        self._total = total
        self._description = description
        self._began = self._said = time.monotonic()
        self._shown_errors = 0
        self._errors: Counter[str] = collections.Counter()
        for path in (OVERVIEW, PROCESSED):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(PROCESSED, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow([*_COLUMNS, "error"])

    def began(self, workers: int) -> None:
        settings = self._settings
        say(f"The input is {self._description}: {self._total} mini-batches.")
        asked = f"{settings.instances} x {settings.workers_per_instance} asked for"
        say(f"{workers} worker processes ({asked}); their output is in logs/user/stdout and logs/user/stderr.")
        for name in WITHOUT_EFFECT:
            if any(argument.partition("=")[0] == name for argument in settings.arguments):
                say(f"approximated: {name} has no effect here.")
        self._overview("running")

    def done(self, worker: Worker, failed_items: int, took: float) -> None:
        self._processed += 1
        if self._settings.error_threshold < 0:  # a script that gives no results back is not counted by them
            failed_items = 0
        self.failed_items += failed_items
        self._row(worker, "done", failed_items, took, "")
        if self._settings.logging_level == "DEBUG":
            say(f"mini-batch {self._number(worker)}: {worker.items} items in {took:.2f} s by {_place(worker)}")

    def failed(self, worker: Worker, error: str, again: bool) -> None:
        """A try came to nothing; `again` says whether there will be another.

        Rows that could not be read cannot be counted: they are one item at least.
        """
        items = 0 if again else max(1, worker.items)
        if again:
            self._retries += 1
        else:
            self.failed_batches += 1
            self.failed_items += items
        self._row(worker, "retried" if again else "failed", items, 0.0, _last_line(error))
        self.error(worker, worker.tried + 1, error)

    def error(self, worker: Worker, tried: int | None, error: str) -> None:
        """Into the logs of errors; the job's own log takes the first ones whole."""
        what = f"mini-batch {self._number(worker)} failed, try {tried}" if tried else "the entry script was not loaded"
        with open(worker.log("error", "txt"), "a", encoding="utf-8") as file:
            file.write(f"{_clock()} {what}:\n{error}\n")
        self._errors[_last_line(error)] += 1
        self._shown_errors += 1
        shown = error.rstrip() if self._shown_errors <= _SHOWN_ERRORS else _last_line(error)
        print(f"{_clock()} {what}: {shown}", file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        print(f"{_clock()} {text}", file=sys.stderr, flush=True)

    def tick(self) -> None:
        """To be called often: says how far the job is when that was not said for a while."""
        moment = time.monotonic()
        if moment - self._said >= _EVERY_S:
            self._said = moment
            say(self._progress())
            self._overview("running")

    def ended(self, why: str | None) -> None:
        """The last words; `why` says what failed the job."""
        say(self._progress())
        self._overview("failed" if why else "completed")
        with open(RESULT, "w", encoding="utf-8") as file:
            file.write(f"result: {'failed: ' + why if why else 'completed'}\n{self._counts()}")
        if self._errors:
            with open(ERRORS, "w", encoding="utf-8") as file:
                file.writelines(f"{count} x {text}\n" for text, count in self._errors.most_common())
        if why:
            self.warn(f"The parallel job failed: {why}.")

    def _progress(self) -> str:
        seconds = max(0.001, time.monotonic() - self._began)
        over = self._processed + self.failed_batches
        counts = f"{self.failed_batches} failed, {self._total - over} remaining, {self._retries} tried again"
        items = f"; {self.failed_items} items failed" if self.failed_items else ""
        return (
            f"processed {self._processed}/{self._total} mini-batches, {counts}, {over / seconds:.2f} per second{items}"
        )

    def _overview(self, state: str) -> None:
        aside = OVERVIEW + ".tmp"
        with open(aside, "w", encoding="utf-8") as file:
            file.write(f"state: {state} at {_clock()}\ninput: {self._description}\n{self._counts()}")
        os.replace(aside, OVERVIEW)

    def _counts(self) -> str:
        over = self._processed + self.failed_batches
        return (
            f"mini-batches: {self._total}\nprocessed: {self._processed}\nfailed: {self.failed_batches}\n"
            f"remaining: {self._total - over}\ntried again: {self._retries}\nfailed items: {self.failed_items}\n"
            f"seconds: {time.monotonic() - self._began:.1f}\n"
        )

    def _row(self, worker: Worker, status: str, failed_items: int, took: float, error: str) -> None:
        seconds = f"{time.monotonic() - worker.given:.3f}"
        with open(PROCESSED, "a", newline="", encoding="utf-8") as file:
            place = [self._number(worker), worker.instance, worker.name, worker.tried + 1]
            csv.writer(file).writerow([*place, status, worker.items, failed_items, seconds, f"{took:.3f}", error])

    @staticmethod
    def _number(worker: Worker) -> str:
        return str(worker.batch.number) if worker.batch is not None else ""


def say(text: str) -> None:
    print(f"{_clock()} {text}", flush=True)


def _place(worker: Worker) -> str:
    return f"{worker.name} of instance {worker.instance}"


def _last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2][:1000]


def _clock() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
