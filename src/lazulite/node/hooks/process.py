"""The user's command: one process a rank, its lines into the log as they come, its end in every case."""

import contextlib
import os
import select
import shlex
import signal
import time
from typing import NamedTuple

from .. import causes, descendants, disk, launcher, limits, ranks, substitute
from ..failure import Canceled, RunFailure
from ..launcher import Launcher
from ..output import Output
from ..run import Run
from ..status import start_ticks
from . import logs

COLLECT_S = 3.0
POLL_S = 0.1
TAIL_BYTES = 16384
#: Linux takes no argument of 128 KiB or more.
LONGEST_COMMAND = 100_000


class Process:
    def __init__(self, rank: ranks.Rank, pid: int, output: Output) -> None:
        self.rank = rank
        self.pid = pid
        self.output = output
        self.exit_code: int | None = None


def execute(run: Run) -> int:
    """Run the command to its end; 0. Raises RunFailure (UserError/CommandFailed, JobTimeout) or Canceled."""
    command = short(run, substitute.command(run.plan["command"], run.values))
    enforced = limits.Enforced(run)
    launch = launcher.of(run, enforced)
    descendants.become_subreaper()
    processes: list[Process] = []
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        for rank in ranks.plan(run.plan["distribution"], free_ports(ranks.ports_needed(run.plan["distribution"]))):
            processes.append(start(run, launch, rank, command))
        run.status.time("process")
        groups = [{"pid": process.pid, "start_ticks": start_ticks(process.pid)} for process in processes]
        run.status.phase("running", groups=groups)
        return supervise(run, launch, enforced, processes, woken)
    finally:
        launch.clear()
        for process in processes:
            process.output.drain(final=True)
            process.output.close()
        signal.set_wakeup_fd(-1)


def short(run: Run, command: str) -> str:
    """The command, or where it is too long to be an argument, one that has the shell read it from a file."""
    if len(command.encode()) <= LONGEST_COMMAND:
        return command
    path = run.path("exe", "command.sh")
    with open(path, "w", encoding="utf-8") as file:
        file.write(command)
    return f". {shlex.quote(path)}"


def start(run: Run, launch: Launcher, rank: ranks.Rank, command: str) -> Process:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reader, False)
    log = os.open(run.artifact(rank.log), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    pid = launch.start(rank, command, writer)
    os.close(writer)
    run.log(f"rank {rank.number}: started {command[:500]}")
    return Process(rank, pid, Output(reader, log))


def supervise(run: Run, launch: Launcher, enforced: limits.Enforced, processes: list[Process], woken: int) -> int:
    """Pump output until every process that decides has ended, or the first has failed, or the end is due."""
    began = collected = time.monotonic()
    ending: Ending | None = None
    while any(process.exit_code is None for process in processes):
        select.select([woken, *(p.output.reader for p in processes if not p.output.closed)], [], [], POLL_S)
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
        for process in processes:
            process.output.drain()
        reap(launch, processes)
        moment = time.monotonic()
        if ending is None:
            ending = due(run, enforced, processes, moment - began)
            if ending is not None:
                launch.terminate()
        elif ending.at_once or moment - began >= ending.elapsed + run.grace_s:
            launch.kill()
        if moment - collected >= COLLECT_S:
            collected = moment
            with contextlib.suppress(OSError):
                logs.collect(run)
    over = enforced.exceeded()
    launch.clear()
    if ending is not None and ending.error is not None:
        raise ending.error
    if over is not None:
        raise over
    culprit = ending.culprit if ending is not None else failed_one(processes)
    if culprit is not None:
        raise command_failed(run, launch, enforced, culprit)
    return 0


class Ending(NamedTuple):
    """Why what still runs is asked to end, so many seconds after the start."""

    elapsed: float
    error: Exception | None = None
    culprit: Process | None = None
    at_once: bool = False
    """Without a time of grace, in which more would be taken of what was too much already."""


def due(run: Run, enforced: limits.Enforced, processes: list[Process], elapsed: float) -> Ending | None:
    """Why the job must end now, if it must."""
    try:
        run.tick()
    except (Canceled, RunFailure) as why:
        return Ending(elapsed, why)
    over = enforced.exceeded()
    if over is not None:
        return Ending(elapsed, over, at_once=True)
    if any(process.output.error for process in processes):
        return Ending(elapsed, RunFailure("DiskFull", disk.full(run.plan["artifacts"])), at_once=True)
    timeout = run.plan["timeout_s"]
    if timeout is not None and elapsed >= timeout:
        message = f"The job ran longer than limits.timeout allows ({timeout:g} seconds) and was ended."
        return Ending(
            elapsed,
            RunFailure(
                "JobTimeout",
                f"{message} Raise limits.timeout (of a sweep's trial: trial_timeout), or give the job less to do.",
            ),
        )
    culprit = failed_one(processes)
    if culprit or all(process.exit_code is not None for process in processes if process.rank.decides):
        return Ending(elapsed, culprit=culprit)
    return None


def failed_one(processes: list[Process]) -> Process | None:
    return next((process for process in processes if process.exit_code), None)


def reap(launch: Launcher, processes: list[Process]) -> None:
    known = {process.pid: process for process in processes}
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] in known:
                process = known[ended[0]]
                process.exit_code = launch.exit_code(process.rank, os.waitstatus_to_exitcode(ended[1]))


def command_failed(run: Run, launch: Launcher, enforced: limits.Enforced, culprit: Process) -> RunFailure:
    assert culprit.exit_code is not None
    culprit.output.drain(final=True)
    name, log = run.plan["environment"]["name"], culprit.rank.log
    said = tail(run.artifact(log))
    failure = launch.never_began(culprit.rank, said)
    if failure is not None:
        return failure
    text = causes.message(culprit.exit_code, said, name, log, enforced.cause(culprit.exit_code, said))
    return RunFailure("UserError/CommandFailed", text, culprit.exit_code)


def tail(path: str) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        return file.read().decode(errors="replace")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    if not count:
        return []
    import socket

    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports
