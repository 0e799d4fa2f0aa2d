"""Control groups, of version 1 and 2: finding where they may be made, and one that holds a run's processes.

A place is `{"version": 1 | 2, "folder": path}`: the group in which runs' own are made, for one controller.
"""

import contextlib
import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

PREFIX = "lazulite-"
CONTROLLERS = ("memory", "pids")
#: Seconds after which an empty group of ours is nobody's any more.
OLD_S = 3600.0


class Hierarchy(NamedTuple):
    """`own` is the folder of this process's group, at or below `mount`."""

    version: int
    controllers: frozenset[str]
    mount: str
    own: str


def hierarchies(mountinfo: str, groups: str) -> list[Hierarchy]:
    """What /proc/self/mountinfo and /proc/self/cgroup say; version 2 first. Pure."""
    own = {}
    for line in groups.splitlines():
        _, names, path = line.split(":", 2)
        own[names] = path
    found = []
    for line in mountinfo.splitlines():
        first, _, second = line.partition(" - ")
        root, mount = first.split()[3:5]
        kind, _, options = (*second.split(), "", "")[:3]
        if kind == "cgroup2":
            found.append(Hierarchy(2, frozenset(), mount, placed(mount, root, own.get("", "/"))))
        elif kind == "cgroup":
            for names, path in own.items():
                controllers = frozenset(names.split(","))
                if controllers & set(CONTROLLERS) and controllers <= set(options.split(",")):
                    found.append(Hierarchy(1, controllers, mount, placed(mount, root, path)))
    return sorted(found, key=lambda each: -each.version)


def placed(mount: str, root: str, path: str) -> str:
    """The folder of a group: `path` in the hierarchy, of which `root` is mounted."""
    below = os.path.relpath(path, root)
    return mount if below == "." or below.startswith("..") else os.path.join(mount, below)


def places(hierarchy: Hierarchy, controller: str) -> Iterator[str]:
    """Where runs' groups might be made, this process's own group first: its limits hold for them, too."""
    folder = hierarchy.own
    while True:
        if hierarchy.version == 1 or is_passed_on(folder, controller):
            yield folder
        if folder == hierarchy.mount or len(folder) <= len(hierarchy.mount):
            return
        folder = os.path.dirname(folder)


def is_passed_on(folder: str, controller: str) -> bool:
    """Whether groups below `folder` have the controller, which is switched on for them where that may be done."""
    control = os.path.join(folder, "cgroup.subtree_control")
    if controller not in read(os.path.join(folder, "cgroup.controllers")).split():
        return False
    if controller not in read(control).split():
        with contextlib.suppress(OSError):
            write(control, f"+{controller}")
    return controller in read(control).split()


def here() -> list[Hierarchy]:
    return hierarchies(read("/proc/self/mountinfo"), read("/proc/self/cgroup"))


def find(there: list[Hierarchy], trial: Callable[[dict[str, Any], str], bool]) -> dict[str, dict[str, Any]]:
    """The place of each controller where `trial(place, controller)` shows that it limits; left out where none does."""
    found = {}
    for controller in CONTROLLERS:
        for hierarchy in there:
            if hierarchy.version == 1 and controller not in hierarchy.controllers:
                continue
            candidates = ({"version": hierarchy.version, "folder": each} for each in places(hierarchy, controller))
            place = next((each for each in candidates if trial(each, controller)), None)
            if place is not None:
                found[controller] = place
                break
    return found


class Group:
    """A group for some of a run's processes, `places` by controller; the same folder twice in version 2."""

    def __init__(self, places: dict[str, dict[str, Any]], name: str) -> None:
        self.places = {controller: place for controller, place in places.items() if place}
        self.name = name

    def make(self, *, memory_bytes: int | None = None, processes: int | None = None) -> None:
        """Raises OSError."""
        for folder in self.folders():
            os.makedirs(folder, exist_ok=True)
        if memory_bytes is not None and "memory" in self.places:
            if self.version("memory") == 2:
                write(self.file("memory", "memory.max"), str(memory_bytes))
                with contextlib.suppress(OSError):
                    write(self.file("memory", "memory.swap.max"), "0")
                with contextlib.suppress(OSError):
                    write(self.file("memory", "memory.oom.group"), "1")
            else:
                write(self.file("memory", "memory.limit_in_bytes"), str(memory_bytes))
                with contextlib.suppress(OSError):
                    write(self.file("memory", "memory.memsw.limit_in_bytes"), str(memory_bytes))
        if processes is not None and "pids" in self.places:
            write(self.file("pids", "pids.max"), str(processes))

    def folders(self) -> list[str]:
        return sorted({os.path.join(place["folder"], self.name) for place in self.places.values()})

    def entrances(self) -> list[str]:
        """The files into which a process writes `0` to belong to the group."""
        return [os.path.join(folder, "cgroup.procs") for folder in self.folders()]

    def exceeded(self) -> set[str]:
        """`memory` where something was killed for want of it, also the machine's; `pids` where a fork was refused."""
        found = set()
        if "memory" in self.places:
            name = "memory.events" if self.version("memory") == 2 else "memory.oom_control"
            if counted(read(self.file("memory", name)), "oom_kill"):
                found.add("memory")
        if "pids" in self.places and counted(read(self.file("pids", "pids.events")), "max"):
            found.add("pids")
        return found

    def processes(self) -> set[int]:
        return {int(pid) for entrance in self.entrances() for pid in read(entrance).split()}

    def end(self, seconds: float = 5.0) -> None:
        """SIGKILL all that is in the group, let nothing new begin in it, and remove it."""
        with contextlib.suppress(OSError):
            if "pids" in self.places and os.path.isdir(os.path.dirname(self.file("pids", "pids.max"))):
                write(self.file("pids", "pids.max"), "0")
        until = time.monotonic() + seconds
        while not self.remove() and time.monotonic() < until:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    def remove(self) -> bool:
        """Whether it is gone now: a group that holds a process stays."""
        for folder in self.folders():
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return True

    def version(self, controller: str) -> int:
        return int(self.places[controller]["version"])

    def file(self, controller: str, name: str) -> str:
        return os.path.join(self.places[controller]["folder"], self.name, name)


def name(folder: str, node: int) -> str:
    """Of the group for one node of the run in `folder`."""
    return f"{prefix(folder)}{node}"


def prefix(folder: str) -> str:
    return f"{PREFIX}{hashlib.sha256(folder.encode()).hexdigest()[:16]}-"


def of(places: dict[str, dict[str, Any]], folder: str) -> list[Group]:
    """The groups of a run that are there."""
    names = {each for place in places.values() if place for each in listed(place["folder"])}
    return [Group(places, each) for each in sorted(names) if each.startswith(prefix(folder))]


def sweep(places: dict[str, dict[str, Any]]) -> None:
    """Remove groups of ours that are old and empty: of runs whose agents could not do so."""
    for place in places.values():
        for each in listed(place["folder"]):
            folder = os.path.join(place["folder"], each)
            with contextlib.suppress(OSError):
                if each.startswith(PREFIX) and time.time() - os.stat(folder).st_mtime > OLD_S:
                    os.rmdir(folder)


def listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def counted(text: str, name: str) -> int:
    """The number beside `name` in a file of lines `name number`."""
    for line in text.splitlines():
        first, _, number = line.partition(" ")
        if first == name:
            return int(number)
    return 0


def read(path: str) -> str:
    """Empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def write(path: str, text: str) -> None:
    """In one call, to a file that is there. Raises OSError."""
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)
