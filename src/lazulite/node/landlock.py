"""Landlock: the kernel's own way for a process to give up what it does not need, with no program to install.

A ruleset lists what may be done below which paths; whoever restricts itself, and all that it starts, can do no more
with files. It guards opening, making and removing; not modes, times and sockets that have a path.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

from .view import View, devices, parents

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION_OF, PATH_BENEATH = 1, 1
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION = 0x20080522

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = (1 << bit for bit in range(4))
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
ABSTRACT_SOCKETS, SIGNALS = 1, 2

READ = EXECUTE | READ_FILE | READ_DIR
ALL = (1 << 13) - 1
WRITE = (ALL & ~MAKE_CHAR & ~MAKE_BLOCK) | REFER | TRUNCATE
DEVICE = READ_FILE | WRITE_FILE | READ_DIR | TRUNCATE | IOCTL_DEV
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

PLAIN_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
#: From this version on the kernel also keeps files from being cut to length.
KEEPS_LENGTH = 3
#: And from this on processes from being signalled.
SCOPES = 6


class Rule(NamedTuple):
    path: str
    rights: int


def version() -> int:
    """The kernel's version of Landlock; 0 where there is none."""
    try:
        return max(0, call(CREATE_RULESET, None, 0, VERSION_OF))
    except OSError:
        return 0


def handled(abi: int) -> int:
    """The rights that the kernel watches."""
    return ALL | (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= KEEPS_LENGTH else 0) | (IOCTL_DEV if abi >= 5 else 0)


def ruleset(view: View, abi: int, *, alone: bool = True) -> int:
    """A descriptor for `restrict`. With `alone` no other process is reached by an abstract socket. Raises OSError."""
    scoped = 0 if abi < SCOPES else SIGNALS | (ABSTRACT_SOCKETS if alone else 0)
    attribute = struct.pack("=QQQ", handled(abi), 0, scoped)
    made = call(CREATE_RULESET, attribute, len(attribute) if abi >= SCOPES else 8, 0)
    for rule in rules(view):
        add(made, rule, abi)
    return made


def rules(view: View) -> Iterator[Rule]:
    above = {folder for path in view.hidden for folder in parents(path)}
    for path in view.shown:
        for part in without(os.path.realpath(path), view.hidden, above):
            yield Rule(part, READ_DIR if part in above else READ)
    yield Rule("/proc", READ)
    yield Rule("/dev", READ_DIR)
    for name in PLAIN_DEVICES:
        yield Rule(f"/dev/{name}", DEVICE)
    for path in devices():
        yield Rule(path, DEVICE)
    yield Rule("/dev/shm", WRITE)  # noqa: S108
    for path in view.own:
        yield Rule(path, READ)
    for path in (*view.writable, view.temporary):
        yield Rule(path, WRITE)
    for mount in view.mounts:
        yield Rule(mount.source, WRITE if mount.writable else READ)


def without(path: str, hidden: list[str], above: set[str]) -> Iterator[str]:
    """`path`, or where something below it is hidden, the folder (to be listed alone) and what else it holds."""
    if path in hidden:
        return
    yield path
    if path in above:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.is_symlink():
                    yield from without(entry.path, hidden, above)


def add(made: int, rule: Rule, abi: int) -> None:
    """What is not there by now is not shown."""
    try:
        place = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rights = rule.rights & handled(abi)
        if not os.path.isdir(rule.path):
            rights &= OF_FILES
        call(ADD_RULE, made, PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def restrict(made: int) -> None:
    """For a fresh child: give up every capability for good, and what the ruleset does not list. Raises OSError."""
    check(_libc.prctl(PR_SET_NO_NEW_PRIVS, *(ctypes.c_ulong(value) for value in (1, 0, 0, 0))))
    header, nothing = struct.pack("=Ii", CAPABILITY_VERSION, 0), bytes(24)
    check(_libc.capset(ctypes.create_string_buffer(header), nothing))
    call(RESTRICT_SELF, made, 0)


def call(number: int, *arguments: object) -> int:
    """A system call. Raises OSError, also where this is not Linux."""
    if sys.platform != "linux":
        raise OSError("this is not Linux")
    words = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    return check(_libc.syscall(ctypes.c_long(number), *words))


def check(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


_libc = ctypes.CDLL(None, use_errno=True)
