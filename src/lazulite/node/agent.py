"""The life of one run, from its plan to its last status. Starting it twice never runs the job twice."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

from . import container, descendants, engines, limits, marks, probe, run, status
from .failure import Canceled, RunFailure
from .hooks import code, data_transfer, environment, image, inputs, outputs, parallel, process, report, workdir
from .run import Run

PREPARE = (
    workdir.prepare,
    environment.prepare,
    image.prepare,
    code.prepare,
    inputs.prepare,
    outputs.prepare,
    parallel.prepare,
)

PROBES: dict[str, Callable[..., dict[str, Any]]] = {
    "--probe": probe.probe,
    "--probe-limits": limits.probe,
    "--probe-containers": engines.probe,
}


def main(arguments: list[str]) -> int:
    """`RUN_DIR [--foreground]`, or a probe of the machine with what it asks for.

    0 when an agent owns the run, this one or an earlier one.
    """
    if arguments[0] in PROBES:
        import json

        print(json.dumps(PROBES[arguments[0]](*arguments[1:])))
        return 0
    folder = os.path.abspath(arguments[0])
    os.environ[marks.MARK] = folder
    lock = os.open(os.path.join(folder, "agent.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    if not mark_started(folder):
        settle_abandoned(folder)
        return 0
    if "--foreground" not in arguments and not detach(lock):
        return 0
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    live(folder)
    return 0


def mark_started(folder: str) -> bool:
    """Leave the mark that outlives this process. False when it was there: the job has been started before."""
    try:
        os.close(os.open(os.path.join(folder, "started"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def settle_abandoned(folder: str) -> None:
    """The lock is free and the job was started: its agent finished, or died and left the job to be called failed."""
    path = os.path.join(folder, "status.json")
    known = status.read(path) or {}
    if known.get("phase") == "done":
        return
    if known.get("boot") in (None, "", marks.boot()):
        descendants.end_groups(known.get("groups"), folder)
    with contextlib.suppress(OSError, ValueError, KeyError):
        this = run.load(folder)
        container.sweep(this)
        limits.end_groups(this.plan["limits"].get("groups") or {}, folder)
    marks.end(folder, spare=[os.getpid()])
    message = "The agent beside the job ended before the job did (the machine restarted, or the agent was killed)."
    mine = status.Status(path)
    times = known.get("times")
    if isinstance(times, dict):
        mine.document["times"] = {name: time for name, time in times.items() if isinstance(time, str)}
    mine.phase("done", outcome="failed", error={"code": "AgentLost", "message": message})


def detach(lock: int) -> bool:
    """Become a session of our own, away from the server, below a keeper. True in the process that goes on."""
    ready, told = os.pipe()
    if os.fork():
        os.close(told)
        os.read(ready, 1)
        return False
    os.close(ready)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    descendants.become_subreaper()
    agent = os.fork()
    if agent:
        os.close(told)
        os.close(lock)
        keep(agent)
    os.setsid()
    os.write(told, b"1")
    os.close(told)
    return True


def keep(agent: int) -> NoReturn:
    """Wait for the agent's end. Where it was killed, what it leaves has come to this process: end that, too.

    The keeper is in a session of its own, and no signal but SIGKILL ends it first.
    """
    try:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        os.chdir("/")
        ended = 0, 0
        while ended[0] != agent:
            ended = os.waitpid(-1, 0)
        if ended[1]:
            descendants.end_all()
    finally:
        os._exit(0)


def live(folder: str) -> None:
    """Run the job and write how it ended, whatever happens."""
    try:
        this = run.load(folder)
    except (OSError, ValueError, KeyError) as error:
        broken = {"code": "PlanUnreadable", "message": f"The run's plan cannot be read: {error}"}
        status.Status(os.path.join(folder, "status.json")).phase("done", outcome="failed", error=broken)
        return
    this.status.keep_room()
    signal.signal(signal.SIGTERM, lambda *_: setattr(this, "cancel_requested", True))
    result = execute(this)
    this.cancelable = False
    this.status.phase("finalizing")
    result = finalize(this, result)
    report.finish(this, result)


def execute(this: Run) -> dict[str, Any]:
    """Prepare and run. Returns what the status says at the end: outcome, exit_code, error."""
    try:
        this.status.phase("preparing")
        if is_transfer(this):
            return {"outcome": "completed", "exit_code": data_transfer.execute(this)}
        for hook in PREPARE:
            this.tick()
            hook(this)
        return {"outcome": "completed", "exit_code": process.execute(this)}
    except Canceled:
        return {"outcome": "canceled"}
    except RunFailure as failure:
        return report.failed(failure)
    except Exception as error:
        return report.broken(this, error)


def finalize(this: Run, result: dict[str, Any]) -> dict[str, Any]:
    """Bring outputs home also when the job failed; a failure to do so fails a job that had not."""
    try:
        if not is_transfer(this):
            outputs.collect(this)
    except RunFailure as failure:
        this.log(failure.message)
        return report.failed(failure) if result["outcome"] == "completed" else result
    except Exception as error:
        return report.broken(this, error) if result["outcome"] == "completed" else result
    return result


def is_transfer(this: Run) -> bool:
    """Whether data is copied, and no command runs."""
    return this.plan.get("transfer") is not None
