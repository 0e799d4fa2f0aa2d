"""The user's command: one process a rank, its lines into the log as they come, its end in every case."""

import contextlib
import os
import resource
import select
import shlex
import signal
import time
from dataclasses import dataclass

from .. import causes, descendants, isolation, ranks, spawn, substitute
from ..failure import Canceled, RunFailure
from ..run import Run
from ..status import start_ticks
from . import logs

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COLLECT_S = 3.0
POLL_S = 0.1
TAIL_BYTES = 16384


@dataclass(slots=True)
class Process:
    rank: ranks.Rank
    pid: int
    output: int
    log: int
    held: bytes = b""
    """The begun line: logs grow by whole lines, since readers count them."""
    exit_code: int | None = None
    closed: bool = False
    """Nobody holds the writing end any more."""


def execute(run: Run) -> int:
    """Run the command to its end; 0. Raises RunFailure (UserError/CommandFailed, JobTimeout) or Canceled."""
    command = substitute.command(run.plan["command"], run.values)
    if not run.bubblewrap:
        isolation.link_mounts(run)
    descendants.become_subreaper()
    processes: list[Process] = []
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        for rank in ranks.plan(run.plan["distribution"], free_ports(ranks.ports_needed(run.plan["distribution"]))):
            processes.append(start(run, rank, command))
        run.status.time("process")
        groups = [{"pid": process.pid, "start_ticks": start_ticks(process.pid)} for process in processes]
        run.status.phase("running", groups=groups)
        return supervise(run, processes, woken)
    finally:
        descendants.end_all()
        for process in processes:
            drain(process, final=True)
            os.close(process.output)
            os.close(process.log)
        signal.set_wakeup_fd(-1)


def start(run: Run, rank: ranks.Rank, command: str) -> Process:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reader, False)
    log = os.open(run.artifact(rank.log), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    inner = ["/bin/bash", "-c", command] if os.path.exists("/bin/bash") else ["bash", "-c", command]
    argv = isolation.command(run, inner) if run.bubblewrap else inner
    pid = spawn.start(argv, variables(run, rank), run.workdir, writer, limits=limits(run))
    os.close(writer)
    run.log(f"rank {rank.number}: started {shlex.join(inner)[:500]}")
    return Process(rank, pid, reader, log)


def supervise(run: Run, processes: list[Process], woken: int) -> int:
    """Pump output until every process that decides has ended, or the first has failed, or the end is due."""
    began = collected = time.monotonic()
    ending: Ending | None = None
    while any(process.exit_code is None for process in processes):
        select.select([woken, *(p.output for p in processes if not p.closed)], [], [], POLL_S)
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
        for process in processes:
            drain(process)
        reap(processes)
        moment = time.monotonic()
        if ending is None:
            ending = due(run, processes, moment - began)
            if ending is not None:
                stop(run)
        elif moment - began >= ending.elapsed + run.plan["grace_s"]:
            descendants.signal_all(descendants.of(os.getpid()), signal.SIGKILL)
        if moment - collected >= COLLECT_S:
            collected = moment
            with contextlib.suppress(OSError):
                logs.collect(run)
    descendants.end_all()
    if ending is not None and ending.error is not None:
        raise ending.error
    culprit = ending.culprit if ending is not None else failed_one(processes)
    if culprit is not None:
        raise command_failed(run, culprit)
    return 0


@dataclass(frozen=True, slots=True)
class Ending:
    """Why what still runs is asked to end, so many seconds after the start."""

    elapsed: float
    error: Exception | None = None
    culprit: Process | None = None


def due(run: Run, processes: list[Process], elapsed: float) -> Ending | None:
    """Why the job must end now, if it must."""
    try:
        run.tick()
    except Canceled as canceled:
        return Ending(elapsed, canceled)
    timeout = run.plan["timeout_s"]
    if timeout is not None and elapsed >= timeout:
        message = f"The job ran longer than limits.timeout allows ({timeout:g} seconds) and was ended."
        return Ending(elapsed, RunFailure("JobTimeout", f"{message} Raise limits.timeout, or give the job less to do."))
    culprit = failed_one(processes)
    if culprit or all(process.exit_code is not None for process in processes if process.rank.decides):
        return Ending(elapsed, culprit=culprit)
    return None


def failed_one(processes: list[Process]) -> Process | None:
    return next((process for process in processes if process.exit_code), None)


def stop(run: Run) -> None:
    """SIGTERM to all of the job's own processes (bubblewrap's outermost would take its children along at once)."""
    below = descendants.of(os.getpid())
    spared = {pid for pid in below if run.bubblewrap and is_direct_child(pid)}
    descendants.signal_all([pid for pid in below if pid not in spared], signal.SIGTERM)


def is_direct_child(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except OSError:
        return False


def reap(processes: list[Process]) -> None:
    known = {process.pid: process for process in processes}
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] in known:
                known[ended[0]].exit_code = os.waitstatus_to_exitcode(ended[1])


def command_failed(run: Run, culprit: Process) -> RunFailure:
    assert culprit.exit_code is not None
    drain(culprit, final=True)
    name, log = run.plan["environment"]["name"], culprit.rank.log
    text = causes.message(culprit.exit_code, tail(run.artifact(log)), name, log)
    return RunFailure("UserError/CommandFailed", text, culprit.exit_code)


def drain(process: Process, *, final: bool = False) -> None:
    """Move what the process wrote into its log, by whole lines; at the end also a line without its end."""
    with contextlib.suppress(BlockingIOError):
        while not process.closed:
            data = os.read(process.output, 1 << 18)
            process.closed = not data
            text = process.held + data
            cut = max(text.rfind(b"\n"), text.rfind(b"\r", 0, len(text) - 1)) + 1
            os.write(process.log, text[:cut])
            process.held = text[cut:]
    if final and process.held:
        os.write(process.log, process.held)
        process.held = b""


def tail(path: str) -> str:
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
        return file.read().decode(errors="replace")


def variables(run: Run, rank: ranks.Rank) -> dict[str, str]:
    """All that the process sees: a minimal base, the environment's, the job's, its inputs', the secrets, its rank's."""
    inherited = {name: os.environ[name] for name in run.plan["inherit"] if name in os.environ}
    image = dict(run.plan["environment"]["variables"])
    scripts = os.path.join(run.layer, "bin")
    path = f"{scripts}:{image.pop('PATH', SYSTEM_PATH)}"
    base = {
        "HOME": run.path("home"),
        "TMPDIR": "/tmp" if run.bubblewrap else run.path("tmp"),  # noqa: S108 (private to the job there)
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8",
        "VIRTUAL_ENV": run.layer,
        "SHELL": "/bin/bash",
    }
    merged = inherited | base | image | run.plan["variables"] | run.variables | run.secrets["variables"]
    return {**merged, "PATH": path, **rank.variables}


def limits(run: Run) -> dict[int, int]:
    asked = run.plan["limits"]
    known = {
        resource.RLIMIT_AS: asked["memory_bytes"],
        resource.RLIMIT_NPROC: asked["processes"],
        resource.RLIMIT_NOFILE: asked["open_files"],
    }
    return {number: value for number, value in known.items() if value is not None}


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
