"""What a job may take of this machine: limits that the kernel keeps where it can, and a watch where it cannot."""

import mmap
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import cgroups, disk, processes
from .cgroups import Group
from .failure import RunFailure

if TYPE_CHECKING:
    from .ranks import Rank
    from .run import Run

#: How often is looked at memory and processes where no control group counts them, and at the disk.
WATCH_S = 0.5
DISK_S = 2.0
#: What is there before the job is counted before it starts; where that takes longer, its first files count as there.
FIRST_LOOK_S = 1.0
TRIAL_BYTES = 32 << 20
TRIAL_S = 20


def probe() -> dict[str, Any]:
    """`{"memory": place | None, "pids": place | None, "rlimits": bool}`: tried with processes that go over a limit."""
    found = cgroups.find(cgroups.here(), keeps)
    cgroups.sweep(found)
    return {"memory": found.get("memory"), "pids": found.get("pids"), "rlimits": rlimit_keeps()}


def keeps(place: dict[str, Any], controller: str) -> bool:
    """Whether a process in a new group at that place is kept to its limit."""
    group = Group({controller: place}, f"{cgroups.PREFIX}trial-{os.getpid()}")
    try:
        group.make(memory_bytes=TRIAL_BYTES, processes=1)
        if controller == "memory":
            return outcome(lambda: fill(group, 4 * TRIAL_BYTES)) == -signal.SIGKILL
        return outcome(lambda: may_fork(group)) == 0
    except OSError:
        return False
    finally:
        group.end()


def rlimit_keeps() -> bool:
    """Whether a process is kept to RLIMIT_DATA (before Linux 4.7, and on other systems, it is not)."""

    def beyond() -> bool:
        resource.setrlimit(resource.RLIMIT_DATA, (TRIAL_BYTES, TRIAL_BYTES))
        try:
            mmap.mmap(-1, 4 * TRIAL_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        except OSError:
            return False
        return True

    return outcome(beyond) == 0


def outcome(act: Callable[[], object]) -> int:
    """The exit code of a new process that does it: 0 for a false answer, 1 for a true one, 2 where it failed."""
    pid = os.fork()
    if not pid:
        code = 2
        try:
            signal.alarm(TRIAL_S)
            code = 1 if act() else 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def enter(group: Group) -> None:
    for entrance in group.entrances():
        cgroups.write(entrance, "0")


def fill(group: Group, size: int) -> bool:
    """Take memory in the group, and write to each page."""
    enter(group)
    return bool(bytearray(b"x" * size))


def may_fork(group: Group) -> bool:
    enter(group)
    try:
        if not os.fork():
            os._exit(0)
    except OSError:
        return False
    return True


class Enforced:
    """The limits of one run: a control group a node where groups can be made, else limits of processes and a watch."""

    def __init__(self, run: "Run") -> None:
        self.run = run
        self.asked = {**NOTHING, **run.plan["limits"]}
        self.groups: dict[int, Group] = {}
        self.nodes: dict[int, int] = {}
        self.watch_at = 0.0
        self.size_at = 0.0
        #: The kernel ended a process of the job, which was over no limit.
        self.machine_is_full = False
        self.disk: disk.Growth | None = None
        if self.asked["disk_bytes"] is not None:
            self.disk = disk.Growth(written(run), DISK_S)
            self.disk.look(time.monotonic(), budget_s=FIRST_LOOK_S)
        run.log(f"limits: {', '.join(self.described()) or 'none'}")

    @property
    def places(self) -> dict[str, Any]:
        """Where groups are made; none for containers, to which the engine gives groups of its own."""
        return {} if self.run.container else (self.asked["groups"] or {})

    def described(self) -> list[str]:
        said = []
        if self.asked["memory_bytes"] is not None:
            said.append(f"memory {gib(self.asked['memory_bytes'])} a node")
        if self.asked["processes"] is not None:
            said.append(f"{self.asked['processes']} processes and threads a node")
        if self.asked["open_files"] is not None:
            said.append(f"{self.asked['open_files']} open files a process")
        if self.asked["disk_bytes"] is not None:
            said.append(f"{gib(self.asked['disk_bytes'])} written to disk")
        return said

    def entrances(self, rank: "Rank") -> list[str]:
        """The files through which a rank enters its node's group, which is made for the first of them."""
        if not self.places:
            return []
        if rank.node not in self.groups:
            group = Group(self.places, cgroups.name(self.run.folder, rank.node))
            try:
                group.make(memory_bytes=self.asked["memory_bytes"], processes=self.asked["processes"])
            except OSError as error:
                self.run.log(f"limits: no control group can be made ({error}); processes are watched")
                self.asked["groups"] = None
                group.remove()
                return []
            self.groups[rank.node] = group
        return self.groups[rank.node].entrances()

    def counted(self, controller: str) -> bool:
        """Whether control groups keep that limit, for this run."""
        return bool(self.places.get(controller))

    def rlimits(self) -> dict[int, int]:
        """What each process is started with."""
        found = {resource.RLIMIT_NOFILE: self.asked["open_files"], resource.RLIMIT_FSIZE: self.asked["disk_bytes"]}
        if not self.counted("memory"):
            found[resource.RLIMIT_DATA] = self.asked["memory_bytes"]
        if not self.counted("pids") and self.asked["processes"] is not None and os.getuid():
            # It counts all that the user runs on the machine: a brake, beyond what the watch ends the job for.
            found[resource.RLIMIT_NPROC] = 2 * self.asked["processes"] + processes.of_user(os.getuid())
        return {number: value for number, value in found.items() if value is not None}

    def started(self, rank: "Rank", pid: int) -> None:
        self.nodes[pid] = rank.node

    def members(self) -> set[int]:
        """The processes in the control groups."""
        return {pid for group in self.groups.values() for pid in group.processes()}

    def exceeded(self) -> RunFailure | None:
        """The failure of a job that is over a limit. To be called often; it looks as often as is due."""
        for group in self.groups.values():
            over = group.exceeded()
            if "memory" in over and self.asked["memory_bytes"] is not None:
                return self.too_much_memory()
            if "pids" in over and self.asked["processes"] is not None:
                return self.too_many_processes()
            self.machine_is_full = self.machine_is_full or "memory" in over
        moment = time.monotonic()
        if moment >= self.watch_at:
            self.watch_at = moment + WATCH_S
            failure = self.watched(moment)
            if failure is not None:
                return failure
        grown = self.disk.look(moment) if self.disk is not None else None
        if grown is not None and grown > self.asked["disk_bytes"]:
            return self.too_much_disk(grown)
        return None

    def watched(self, moment: float) -> RunFailure | None:
        """What no group counts: what is below the agent, and where there are several nodes, below the ranks of each.

        Memory that processes share is counted once. That takes time, so it is done only where counting it for each is
        too much, and at most a tenth of the time.
        """
        memory = None if self.counted("memory") else self.asked["memory_bytes"]
        most = None if self.counted("pids") else self.asked["processes"]
        if memory is None and most is None:
            return None
        sizing = moment >= self.size_at
        try:
            for count, pids in self.trees():
                if most is not None and processes.tasks(pids) > most * count:
                    return self.too_many_processes()
                if memory is not None and sizing and takes_more(pids, memory * count):
                    return self.too_much_memory()
        finally:
            if sizing:
                self.size_at = moment + 10 * (time.monotonic() - moment)
        return None

    def trees(self) -> Iterator[tuple[int, set[int]]]:
        """(number of nodes, processes on them); containers of all nodes together, where they are processes of ours."""
        if self.run.container:
            nodes = self.run.plan["distribution"]["nodes"]
            yield nodes, {pid for pid in processes.below(os.getpid()) if processes.name(pid) not in ENGINES}
            return
        numbers = set(self.nodes.values())
        yield len(numbers), set(processes.below(os.getpid()))
        for node in numbers if len(numbers) > 1 else ():
            roots = [pid for pid, of in self.nodes.items() if of == node]
            yield 1, {*roots, *(pid for root in roots for pid in processes.below(root))}

    def too_much_memory(self) -> RunFailure:
        return RunFailure("MemoryLimitExceeded", f"The job used more than {self.memory()} and was ended. {self.more()}")

    def memory(self) -> str:
        return f"{gib(self.asked['memory_bytes'])}, {self.asked['memory_from']}"

    def more(self) -> str:
        """How to get more memory."""
        if self.asked["memory_from"] == NOTHING["memory_from"]:
            return "Raise the server's setting job_memory (0 sets no limit), or have the job use less at once."
        return (
            "Use a larger VM size, have the job use less at once, or set job_memory in the server's settings (a number of "
            "GiB; 0 sets no limit)."
        )

    def too_many_processes(self) -> RunFailure:
        return RunFailure(
            "ProcessLimitExceeded",
            f"The job had more than {self.asked['processes']} processes and threads on a node and was ended. Start fewer, "
            "or raise the server's setting job_processes (0 sets no limit).",
        )

    def too_much_disk(self, grown: int) -> RunFailure:
        return RunFailure(
            "DiskLimitExceeded",
            f"The job wrote more than {gib(self.asked['disk_bytes'])} to its folders and outputs ({gib(grown)}) and was "
            "ended. Write less, or raise the server's setting job_disk_gb (0 sets no limit).",
        )

    def cause(self, exit_code: int, said: str) -> str:
        """The limit that the end of a failed command speaks of, as one sentence; empty where it does not."""
        if self.run.container and self.asked["memory_bytes"] is not None and exit_code in KILLED:
            return f"the process was killed, mostly for using more than {self.memory()}. {self.more()}"
        if self.machine_is_full and exit_code in KILLED:
            return "the process was killed, as this machine ran out of memory. Have it use less, or run less beside it."
        if "No space left on device" in said or "Disk quota exceeded" in said:
            return disk.full(self.run.folder)
        if self.asked["open_files"] is not None and "Too many open files" in said:
            return (
                f"each process of the job may have {self.asked['open_files']} files open: close some, or raise the server's "
                "setting job_open_files (0 sets no limit)."
            )
        if self.asked["disk_bytes"] is not None and "File too large" in said:
            return (
                f"a file of the job may have {gib(self.asked['disk_bytes'])}: raise the server's setting job_disk_gb "
                "(0 sets no limit)."
            )
        if self.asked["memory_bytes"] is not None and "MemoryError" in said and not self.counted("memory"):
            return f"a process of the job may use {self.memory()}. {self.more()}"
        if self.asked["processes"] is not None and any(each in said for each in NO_FORK):
            return (
                f"a node of the job may have {self.asked['processes']} processes and threads: start fewer, or raise the "
                "server's setting job_processes (0 sets no limit)."
            )
        return ""

    def clear(self) -> None:
        """Leave nothing in the groups, and no group."""
        for group in self.groups.values():
            group.end()
        self.groups = {}


#: Programs of container engines, which take memory and are no part of a job.
ENGINES = ("podman", "conmon", "runc", "crun", "docker")
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
NOTHING: dict[str, Any] = {
    "memory_bytes": None,
    "memory_from": "the server's setting job_memory",
    "processes": None,
    "open_files": None,
    "disk_bytes": None,
    "groups": None,
}
NO_FORK = (
    "can't start new thread",
    "fork: retry",
    "fork: Resource temporarily unavailable",
    "BlockingIOError: [Errno 11]",
)


def takes_more(pids: set[int], size: int) -> bool:
    return processes.resident(pids) > size and processes.shared_out(pids) > size


def written(run: "Run") -> list[str]:
    """The folders that a job fills."""
    outputs = [output["path"] for output in run.plan["outputs"].values() if output.get("path")]
    return [run.folder, run.plan["artifacts"], *outputs]


def end_groups(places: dict[str, Any], folder: str) -> None:
    """SIGKILL all that is in the groups of a run whose agent is gone."""
    for group in cgroups.of({controller: place for controller, place in places.items() if place}, folder):
        group.end()


def gib(size: int) -> str:
    """Bytes for people: `14 GiB`, `3.5 GiB`, `64 MiB`."""
    if size < 1 << 30:
        return f"{size / (1 << 20):.4g} MiB"
    return f"{size / (1 << 30):.4g} GiB"
