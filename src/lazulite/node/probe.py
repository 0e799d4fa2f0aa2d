"""Which isolation keeps its promise on this machine: each is tried, by a program that attempts what no job may."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from . import isolation, spawn, view

TRIAL_S = 30.0
_ATTEMPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "attempts.py")


class NotKept(Exception):
    """Why a level does not work on this machine."""


def probe(home: str, level: str = "auto") -> dict[str, Any]:
    """The first of the levels (of `auto`, else that one) that keeps what it promises to a server with that home.

    `{"kind": "bubblewrap" | "landlock" | "process", "detail": for people, "why_not": of the levels that were passed
    over, "options": bubblewrap's, "hide": what only root may read, "show": what variables and settings name}`.
    """
    hide, show = view.kept_for_root(), view.named(os.environ)
    why: list[str] = []
    with places(home) as trial:
        for kind, look in (("bubblewrap", try_bubblewrap), ("landlock", try_landlock)):
            if level not in ("auto", kind):
                continue
            try:
                return {
                    "kind": kind,
                    **look(trial, [home, *hide]),
                    "why_not": "; ".join(why),
                    "hide": hide,
                    "show": show,
                }
            except NotKept as error:
                why.append(str(error))
    return {"kind": "process", "detail": "", "options": [], "why_not": "; ".join(why), "hide": hide, "show": show}


def try_bubblewrap(trial: "Trial", hide: list[str]) -> dict[str, Any]:
    """Raises NotKept."""
    if shutil.which("bwrap") is None:
        raise NotKept("bubblewrap (bwrap) is not installed")
    try:
        trial.run({"kind": "bubblewrap", "options": ["--unshare-user"]}, hide)
        return {"detail": "", "options": ["--unshare-user"]}
    except NotKept as error:
        first = error
    try:  # where a container masks /proc, only root's own namespace may mount another
        trial.run({"kind": "bubblewrap", "options": []}, hide)
    except NotKept:
        raise NotKept(f"bubblewrap does not work here: {first}") from None
    return {"detail": "without a user namespace of its own", "options": []}


def try_landlock(trial: "Trial", hide: list[str]) -> dict[str, Any]:
    """Raises NotKept."""
    try:
        from . import landlock
    except ImportError as error:
        raise NotKept(f"Landlock needs Python's ctypes: {error}") from error
    abi = landlock.version()
    if not abi:
        raise NotKept("this kernel has no Landlock, or it is not switched on (Linux 5.13 or newer)")
    borne = {"see"}
    if abi < landlock.KEEPS_LENGTH:
        borne.add("cut")
    if abi < landlock.SCOPES:
        borne.add("signal")
    try:
        trial.run({"kind": "landlock"}, hide, borne)
    except NotKept as error:
        raise NotKept(f"Landlock does not work here: {error}") from None
    found = [f"version {abi}"]
    found += ["the kernel does not keep files from being cut to length"] if abi < landlock.KEEPS_LENGTH else []
    found += ["nor processes from being signalled"] if abi < landlock.SCOPES else []
    return {"detail": ", ".join(found), "options": []}


@contextlib.contextmanager
def places(home: str) -> Iterator["Trial"]:
    """Folders with a file that nobody may read: in the home, beside it, and in the user's own."""
    import tempfile

    shown = list(view.system())
    with contextlib.ExitStack() as stack:
        canaries = {}
        homes = (home, os.path.realpath(home))
        for place in dict.fromkeys((*homes, os.path.dirname(home), os.path.expanduser("~"))):
            if os.access(place, os.W_OK) and (place in homes or not any(view.is_below(place, top) for top in shown)):
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".lazulite-probe-", dir=place))
                canaries[place] = os.path.join(folder, "canary")
                with open(canaries[place], "w", encoding="ascii") as file:
                    file.write("secret")
        yield Trial(stack.enter_context(tempfile.TemporaryDirectory(prefix="lazulite-probe-")), canaries)


class Trial:
    """`canaries` are files that no job may read, by the folder that each stands for."""

    def __init__(self, folder: str, canaries: dict[str, str]) -> None:
        self.folder = folder
        self.canaries = canaries

    def run(self, asked: dict[str, Any], hide: list[str], borne: "set[str] | frozenset[str]" = frozenset()) -> None:
        """Attempt everything at that level. Raises NotKept with what succeeded, but for what may be `borne`."""
        own, temporary = os.path.join(self.folder, "own"), os.path.join(self.folder, "tmp")
        for folder in (own, temporary):
            os.makedirs(folder, exist_ok=True)
        python = os.path.realpath(sys.executable)
        asked = {"bwrap": "bwrap", "hide": hide, "show": [_ATTEMPTS], **asked}
        plan = {"isolation": asked, "ca_bundle": None, "environment": {"interpreter": python}}
        seen = view.make(plan, [own], temporary, [])
        with open("/proc/self/cmdline", "rb") as file:
            cmdline = file.read().decode(errors="replace")
        told = {"own": own, "canaries": self.canaries, "pid": os.getpid(), "cmdline": cmdline}
        try:
            inside = isolation.within(seen, asked, [python, "-I", "-S", _ATTEMPTS, json.dumps(told)], own)
        except OSError as error:
            raise NotKept(str(error)) from error
        broken = {name: text for name, text in self.broken(inside).items() if name not in borne}
        if broken:
            raise NotKept(" and ".join(broken.values()))

    def broken(self, inside: isolation.Confined) -> dict[str, str]:
        """What the attempts report. Raises NotKept when they could not be made."""
        from .engines import NoAnswer, deadline

        log = os.path.join(self.folder, "log")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)
        variables = {"PATH": os.environ.get("PATH", os.defpath)}
        tick = deadline(inside.command, TRIAL_S)
        try:
            code = spawn.run_logged(inside.command, log, variables, self.folder, tick, restrict=inside.restrict)
        except NoAnswer as error:
            raise NotKept(str(error)) from error
        with open(log, encoding="utf-8", errors="replace") as file:
            said = file.read().strip()
        try:
            found: dict[str, str] = json.loads(said.splitlines()[-1])
        except (ValueError, IndexError):
            raise NotKept(" ".join(said.split())[-300:] or f"exit code {code}") from None
        return found
