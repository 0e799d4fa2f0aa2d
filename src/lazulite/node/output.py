"""What a process prints, on its way from a pipe into the job's log."""

import contextlib
import os

#: Bytes of a begun line that are held back; a longer line is written as it comes.
LONGEST_HELD = 1 << 16
READ = 1 << 18
#: Reads of one `drain`: who prints without a pause holds up neither the other ranks nor a cancellation.
READS = 16


class Lines:
    """Cuts a stream into whole lines, since readers of a log count them. Time and memory do not rise with a line."""

    def __init__(self) -> None:
        self.held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """What can be written now that `data` has come: up to the last end of a line, or all when a line is long.

        A carriage return at the very end may be half of an end of a line, and is held.
        """
        if self.held.endswith(b"\r"):
            data = b"\r" + data
            del self.held[-1:]
        cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(0, len(data) - 1))) + 1
        if not cut and len(self.held) + len(data) > LONGEST_HELD:
            cut = len(data)
        if not cut:
            self.held += data
            return b""
        ready = bytes(self.held) + data[:cut]
        self.held = bytearray(data[cut:])
        if len(self.held) > LONGEST_HELD:
            ready, self.held = ready + bytes(self.held), bytearray()
        return ready

    def rest(self) -> bytes:
        """The line without its end."""
        rest, self.held = bytes(self.held), bytearray()
        return rest


class Output:
    """One process's pipe and log, both closed with it."""

    def __init__(self, reader: int, log: int) -> None:
        self.reader = reader
        self.log = log
        self.lines = Lines()
        #: Nobody holds the writing end any more.
        self.closed = False
        #: Why the log does not take more.
        self.error: OSError | None = None

    def drain(self, *, final: bool = False) -> None:
        """Move what has come into the log; at the end also a line without its end."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(READS):
                data = os.read(self.reader, READ)
                if not data:
                    self.closed = True
                    break
                self.write(self.lines.feed(data))
        if final:
            self.write(self.lines.rest())

    def write(self, data: bytes) -> None:
        """What does not fit on the disk is dropped, and `error` says so."""
        try:
            while data:
                data = data[os.write(self.log, data) :]
        except OSError as error:
            self.error = error

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.log)
