"""A parallel job's own process: files in mini-batches to the `run` of an entry script, in worker processes.

It runs in the user's environment, so it needs nothing but the standard library. `LAZULITE_PARALLEL` holds its settings
as JSON; its arguments are the input's path, the path results are appended to ("" for none) and the script's own.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import sys
import time
import traceback
from multiprocessing.connection import Connection, wait
from typing import Any

_APPENDED = "parallel_run_step.txt"


def main(arguments: list[str]) -> int:
    """0 where no threshold was passed, else 1."""
    settings = json.loads(os.environ["LAZULITE_PARALLEL"])
    source, target, own = arguments[0], arguments[1], arguments[2:]
    files = files_below(source)
    size = max(1, int(settings.get("mini_batch_size") or 10))
    batches = [files[at : at + size] for at in range(0, len(files), size)]
    print(f"{len(files)} files in {len(batches)} mini-batches of up to {size}", flush=True)
    work = _Work(settings, batches, own, _target_file(target))
    return work.run()


def files_below(path: str) -> list[str]:
    """Every file of a folder, sorted by its path; of a file, itself."""
    if not os.path.isdir(path):
        return [path]
    found = [os.path.join(folder, name) for folder, _, names in os.walk(path, followlinks=True) for name in names]
    return sorted(found)


def rows_of(result: Any) -> list[str]:
    """What a `run` gave, as lines: the rows of a table, else its items."""
    if result is None:
        return []
    if hasattr(result, "to_csv"):
        text: str = result.to_csv(sep=" ", index=False, header=False)
        return text.splitlines()
    return [str(item) for item in result]


def _target_file(target: str) -> str | None:
    if not target:
        return None
    return os.path.join(target, _APPENDED) if os.path.isdir(target) else target


class _Work:
    """Mini-batches on their way through the workers."""

    def __init__(self, settings: dict[str, Any], batches: list[list[str]], own: list[str], target: str | None) -> None:
        self._settings = settings
        self._batches = batches
        self._own = own
        self._target = target
        self._waiting = [(number, 0) for number in range(len(batches))]
        self._rows: dict[int, list[str]] = {}
        self._failed_batches = 0
        self._failed_items = 0
        self._context = multiprocessing.get_context("fork")

    def run(self) -> int:
        most = max(1, int(self._settings.get("workers") or 1))
        workers = [_Worker(self._context, self._settings, self._own) for _ in range(min(most, len(self._batches)))]
        try:
            while (self._waiting or any(worker.batch for worker in workers)) and not self._beyond():
                self._turn(workers)
        finally:
            for worker in workers:
                worker.end()
        if self._target is not None:
            with open(self._target, "a", encoding="utf-8") as file:
                file.writelines(row + "\n" for number in sorted(self._rows) for row in self._rows[number])
        done = len(self._rows)
        print(f"{done} mini-batches done, {self._failed_batches} failed, {self._failed_items} items failed", flush=True)
        if self._beyond():
            print("More failed than the error thresholds bear.", file=sys.stderr, flush=True)
            return 1
        return 0

    def _turn(self, workers: list[_Worker]) -> None:
        """Give work to whoever has none, and take what comes first."""
        for worker in workers:
            if worker.batch is None and self._waiting:
                number, tried = self._waiting.pop(0)
                worker.give(number, tried, self._batches[number])
        busy = [worker for worker in workers if worker.batch]
        ready = wait([worker.pipe for worker in busy], timeout=min((w.left() for w in busy), default=0))
        for worker in busy:
            if worker.pipe in ready:
                self._take(worker)
            elif worker.left() <= 0:
                self._failed(worker, f"it took longer than {self._settings['timeout']} s")
                worker.again()

    def _take(self, worker: _Worker) -> None:
        assert worker.batch is not None
        number = worker.batch[0]
        try:
            rows, error = worker.pipe.recv()
        except EOFError:
            self._failed(worker, "its worker died")
            worker.again()
            return
        if error is not None:
            self._failed(worker, error)
            return
        self._rows[number] = rows
        # An item without a result failed; what gives tables or nothing is not counted so.
        print(f"mini-batch {number}: {len(rows)} results ({len(self._rows)} of {len(self._batches)})", flush=True)
        if self._settings.get("append_row"):
            self._failed_items += max(0, len(self._batches[number]) - len(rows))
        worker.batch = None

    def _failed(self, worker: _Worker, error: str) -> None:
        assert worker.batch is not None
        number, tried = worker.batch
        worker.batch = None
        print(f"mini-batch {number} failed, try {tried + 1}: {error}", file=sys.stderr, flush=True)
        if tried < int(self._settings.get("max_retries", 2)):
            self._waiting.append((number, tried + 1))
            return
        self._failed_batches += 1
        self._failed_items += len(self._batches[number])

    def _beyond(self) -> bool:
        batches = int(self._settings.get("mini_batch_error_threshold", -1))
        items = int(self._settings.get("error_threshold", -1))
        return (batches >= 0 and self._failed_batches > batches) or (items >= 0 and self._failed_items > items)


class _Worker:
    """A process that has loaded the entry script. `batch` is what it works on: (number, tries before)."""

    def __init__(self, context: Any, settings: dict[str, Any], own: list[str]) -> None:
        self._context, self._settings, self._own = context, settings, own
        self.batch: tuple[int, int] | None = None
        self._begun = 0.0
        self._start()

    def give(self, number: int, tried: int, batch: list[str]) -> None:
        self.batch = (number, tried)
        self._begun = time.monotonic()
        self.pipe.send(batch)

    def left(self) -> float:
        """Seconds that the batch may take yet."""
        return float(self._settings.get("timeout") or 60) - (time.monotonic() - self._begun)

    def again(self) -> None:
        """A new process in place of one that hangs or died."""
        self._process.kill()
        self._process.join()
        self._start()

    def end(self) -> None:
        try:
            self.pipe.send(None)
            self._process.join(float(self._settings.get("timeout") or 60) if self.batch is None else 0)
        except OSError:
            pass
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self.pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(other, self._settings, self._own))
        self._process.start()
        other.close()


def _serve(pipe: Connection, settings: dict[str, Any], own: list[str]) -> None:
    script = os.path.abspath(str(settings["entry_script"]))
    sys.argv = [script, *own]
    sys.path.insert(0, os.path.dirname(script))
    error = None
    module: Any = None
    try:
        spec = importlib.util.spec_from_file_location("entry_script", script)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["entry_script"] = module
        spec.loader.exec_module(module)
        getattr(module, "init", lambda: None)()
    except BaseException:
        error = traceback.format_exc()
    while (batch := pipe.recv()) is not None:
        try:
            pipe.send((rows_of(module.run(batch)), None) if error is None else ([], error))
        except BaseException:
            pipe.send(([], traceback.format_exc()))
    if error is None:
        getattr(module, "shutdown", lambda: None)()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
