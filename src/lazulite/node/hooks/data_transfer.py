"""Data transfer: the files of every input into the one output, by the agent itself. Nothing of the user's runs."""

import contextlib
import os
import time
from collections.abc import Collection, Iterator

from .. import stores, transfer
from ..failure import RunFailure
from ..run import Run
from ..status import now
from ..stores import Store
from . import inputs, outputs

LOG = "user_logs/std_log.txt"
REPORT_S = 3.0
SHOWN = 20
CHUNK = 1 << 20


def execute(run: Run) -> int:
    """Copy to the end; 0.

    Raises Canceled, and RunFailure: UserError/InputNotFound, InputDownloadFailed, UserError/TransferConflict,
    UserError/NotOneFile, OutputUploadFailed.
    """
    run.status.phase("running", groups=[])
    os.makedirs(run.path("tmp"), exist_ok=True)
    sources = {name: source(run, name) for name in run.plan["inputs"]}
    copy = Copy(run, sources)
    for name in sources:
        copy.take(name)
    copy.check()
    copy.begin()
    for name in sources:
        copy.copy(name)
    copy.report(f"Done: {copy.done()} at {copy.place}.")
    return 0


def source(run: Run, name: str) -> Store:
    given = run.plan["inputs"][name]
    if given["kind"] == "literal":
        raise RunFailure("UserError/InputNotFound", f"Input '{name}' is a value, and only data can be copied.")
    try:
        return stores.of_input(run, name)
    except OSError as error:
        raise inputs.missing(name, given, str(error)) from error


class Copy:
    """The files that are to be copied, by the input that gives each: a later input comes before an earlier one."""

    def __init__(self, run: Run, sources: dict[str, Store]) -> None:
        self.run = run
        self.sources = sources
        ((self.output, self.asked),) = run.plan["outputs"].items()
        self.place = self.asked["uri"] or self.asked["path"] or self.asked["url"]
        self.single = outputs.file_name(self.asked) if self.asked["type"] == "uri_file" else ""
        with self.writing():
            self.target = stores.of_output(run, self.output)
        self.given: dict[str, str] = {}
        self.clashes: list[str] = []
        self.files = self.bytes = 0
        self.reported = time.monotonic()

    def take(self, name: str) -> None:
        """Note which files an input has."""
        count = 0
        with self.reading(name):
            for file in self.sources[name].names():
                self.run.tick()
                count += 1
                if file in self.given:
                    self.clashes.append(f"'{file}' is in the inputs '{self.given[file]}' and '{name}'")
                self.given[file] = name
        self.report(f"Input {name}: {count} files at {inputs.shown(self.run.plan['inputs'][name])}.")

    def check(self) -> None:
        """Raises RunFailure where the files cannot be put there; nothing was copied then."""
        if self.single and len(self.given) != 1:
            text = f"The output '{self.output}' is one file, and its input has {len(self.given)}: make both uri_folder."
            raise RunFailure("UserError/NotOneFile", text)
        if self.run.plan["transfer"]["overwrite"]:
            for clash in self.clashes:
                self.report(f"{clash}: the latter is taken.")
            return
        clashes = [*self.clashes, *(f"'{file}' is there already" for file in self.there_already())]
        for clash in clashes:
            self.report(f"Conflict: {clash}.")
        if clashes:
            more = f"; and {len(clashes) - SHOWN} more, see {LOG}" if len(clashes) > SHOWN else ""
            text = f"Nothing was copied to {self.place}, as data_copy_mode is fail_if_conflict and "
            raise RunFailure("UserError/TransferConflict", f"{text}{'; '.join(clashes[:SHOWN])}{more}.")

    def there_already(self) -> list[str]:
        """What the output has of the files, but for those that an attempt before this one has copied."""
        with self.writing():
            found = [file for file in self.given if self.target.has(self.single or file)]
        if not found or not self.run.plan["transfer"]["resumed"]:
            return found
        same = set()
        for name in self.sources:
            for file, descriptor in self.opened(name, found):
                with self.writing():
                    if is_same(descriptor, self.target, self.single or file, self.run):
                        same.add(file)
        return [file for file in found if file not in same]

    def begin(self) -> None:
        """A folder is there, even where no file comes into it."""
        if self.asked["kind"] == "path" and not self.single:
            with self.writing():
                os.makedirs(self.asked["path"], exist_ok=True)

    def copy(self, name: str) -> None:
        for file, descriptor in self.opened(name, self.given):
            with self.writing():
                self.target.write(self.single or file, descriptor)
            self.files += 1
            self.bytes += os.fstat(descriptor).st_size
            if time.monotonic() - self.reported >= REPORT_S:
                self.report(f"Copied {self.done()} of {len(self.given)}.")

    def opened(self, name: str, wanted: Collection[str]) -> Iterator[tuple[str, int]]:
        """The files that this input gives."""
        with self.reading(name):
            yield from self.sources[name].opened({file for file in wanted if self.given[file] == name})

    def done(self) -> str:
        return f"{self.files} files, {self.bytes / 1e6:.1f} MB"

    def report(self, text: str) -> None:
        self.reported = time.monotonic()
        with open(self.run.artifact(LOG), "a", encoding="utf-8") as file:
            file.write(f"{now()} {text}\n")

    @contextlib.contextmanager
    def reading(self, name: str) -> Iterator[None]:
        given = self.run.plan["inputs"][name]
        try:
            yield
        except transfer.TransferError as error:
            if error.status in (404, 410):
                raise inputs.missing(name, given, str(error)) from error
            text = f"Input '{name}' could not be fetched from {inputs.shown(given)}: {error}."
            raise RunFailure("InputDownloadFailed", text) from error
        except OSError as error:
            raise inputs.missing(name, given, str(error)) from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, transfer.TransferError) as error:
            text = f"Output '{self.output}' could not be stored at {self.place}: {error}"
            raise RunFailure("OutputUploadFailed", text) from error


def is_same(descriptor: int, target: Store, name: str, run: Run) -> bool:
    """Whether a file of the target has the content of an open one."""
    for _, there in target.opened({name}):
        with open(descriptor, "rb", closefd=False) as one, open(there, "rb", closefd=False) as other:
            while (chunk := one.read(CHUNK)) == other.read(CHUNK):
                run.tick()
                if not chunk:
                    return True
    return False
