"""Keeping a job to its own folders: by bubblewrap, by Landlock, or not at all, with copies of what it only reads."""

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from . import bubblewrap, view

if TYPE_CHECKING:
    from .run import Mount, Run


WHY_COPIED = "nothing here would keep the job from writing to it"


class Confined(NamedTuple):
    """A command, and what its process does to itself before it begins (see `spawn.start`)."""

    command: list[str]
    restrict: Callable[[], None] | None = None


def confined(run: "Run", inner: list[str]) -> Confined:
    """`inner` seeing the job's folders, its environment and the system, and no more. Raises OSError.

    Of the kind `mounts` it sees the machine as it is, and the mounts.
    """
    asked = run.plan["isolation"]
    if asked["kind"] == "mounts":
        everything = [bubblewrap.program(asked["bwrap"]), "--dev-bind", "/", "/", "--die-with-parent"]
        return Confined([*everything, *bubblewrap.binds(run.mounts), "--chdir", run.workdir, "--", *inner])
    seen = view.of_job(run)
    if asked["kind"] == "bubblewrap":
        seen = seen._replace(mounts=[*seen.mounts, *copies_of_image(run)])
    ranks = run.plan["distribution"]
    alone = ranks["nodes"] * ranks["processes_per_node"] == 1 and ranks["type"] is None
    return within(seen, asked, inner, run.workdir, alone=alone)


def confined_build(run: "Run", inner: list[str], folder: str, writable: list[str]) -> Confined:
    """uv compiling packages: it sees no job and no key, and writes to `writable` and its own /tmp. Raises OSError.

    It begins in `folder`, which it reads.
    """
    asked = run.plan["isolation"]
    kind = "bubblewrap" if asked["kind"] == "mounts" else asked["kind"]
    return within(view.of_build(run, inner[0], folder, writable), {**asked, "kind": kind}, inner, folder)


def within(seen: view.View, asked: dict[str, Any], inner: list[str], folder: str, *, alone: bool = True) -> Confined:
    """`inner` begun in `folder` of that view, at the level that `asked`, a plan's isolation, names."""
    if asked["kind"] == "bubblewrap":
        outer = [bubblewrap.program(asked["bwrap"]), *bubblewrap.arguments(seen, asked.get("options", []))]
        return Confined([*outer, "--chdir", folder, "--", *inner])
    if asked["kind"] == "landlock":
        from . import landlock

        made = landlock.ruleset(seen, landlock.version(), alone=alone)
        return Confined(inner, functools.partial(landlock.restrict, made))
    return Confined(inner)


def needs_copies(run: "Run") -> bool:
    """Whether what the job only reads has to be its own copy, as nothing would keep it from writing there."""
    kind = run.plan["isolation"]["kind"]
    if kind == "landlock":
        from . import landlock

        return landlock.version() < landlock.KEEPS_LENGTH
    return bool(kind == "process")


def has_own_root(run: "Run") -> bool:
    """Whether paths such as /tmp are the job's own."""
    return bool(run.plan["isolation"]["kind"] == "bubblewrap")


def copies_of_image(run: "Run") -> "list[Mount]":
    """What a Dockerfile copied into the image, at the image's paths where the system has nothing.

    No link is shown: it would be followed on the machine, and not in the image.
    """
    from .run import Mount

    folder = os.path.join(run.shared_environment, "files")
    if os.path.islink(folder) or not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        tops = [entry.name for entry in entries if not entry.is_symlink()]
    return [Mount(os.path.join(folder, top), f"/{top}") for top in tops if not os.path.exists(f"/{top}")]


def link_mounts(run: "Run") -> None:
    """Without mounts an input or output is a link to the datastore's own folder."""
    for mount in run.mounts:
        if mount.source != mount.target and not os.path.lexists(mount.target):
            link(mount)


def link(mount: "Mount") -> None:
    os.makedirs(os.path.dirname(mount.target), exist_ok=True)
    os.symlink(mount.source, mount.target)
