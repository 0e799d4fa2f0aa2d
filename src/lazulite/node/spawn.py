"""Starting processes with exactly the environment, folder and output they are to have."""

import contextlib
import os
import resource
import select
import signal
from collections.abc import Callable, Mapping, Sequence

from . import cgroups, descendants, marks

TICK_S = 0.1


def start(
    command: list[str],
    variables: dict[str, str],
    folder: str,
    output: int,
    *,
    limits: Mapping[int, int] | None = None,
    enter: Sequence[str] = (),
    restrict: Callable[[], None] | None = None,
) -> int:
    """Start `command` as the leader of a session of its own, both outputs into `output`. Returns its process id.

    It dies with this process, and has its mark. `limits` are rlimits, `enter` the entrances of its control groups;
    `restrict` is the last that it does before it becomes the command. A command that cannot be executed ends with 127
    (126 when it may not be) and says so.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        descendants.die_with_parent()
        for entrance in enter:
            cgroups.write(entrance, "0")
        for name in (signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(name, signal.SIG_DFL)
        for number, value in (limits or {}).items():
            hard = resource.getrlimit(number)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (value, value))
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if restrict is not None:
            restrict()
        os.execvpe(command[0], command, {**variables, **marks.inherited()})  # noqa: S606
    except OSError as error:
        os.write(output, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(126 if isinstance(error, PermissionError) else 127)
    finally:
        os._exit(125)


def run_logged(
    command: list[str],
    log: str,
    variables: dict[str, str],
    folder: str,
    tick: Callable[[], None],
    *,
    restrict: Callable[[], None] | None = None,
) -> int:
    """Run to the end, output appended to `log` as it comes. Returns the exit code; ends it when `tick` raises."""
    if not os.access(command[0], os.X_OK) and os.sep in command[0]:
        raise FileNotFoundError(command[0])
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = start(command, variables, folder, writer, restrict=restrict)
    os.close(writer)
    try:
        with open(log, "ab", buffering=0) as file:
            while True:
                tick()
                if select.select([reader], [], [], TICK_S)[0]:
                    data = os.read(reader, 65536)
                    if not data:
                        break
                    file.write(data)
    except BaseException:
        # The process first: it may not have come to lead a group yet, and then none of its own are there either.
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        raise
    finally:
        os.close(reader)
        status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status)


def detached(command: list[str]) -> None:
    """Start something that nobody waits for, that outlives this process and gives way to others."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        os.setsid()
        os.nice(10)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.environ.pop(marks.MARK, None)  # it is no part of the run
        os.execv(command[0], command)  # noqa: S606
    finally:
        os._exit(0)
