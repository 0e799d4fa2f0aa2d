"""Lines of a requirements file, of a conda file's `pip:` section, and the arguments of `pip install`. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement

from lazulite.environments.pip_options import PIP, Meaning, Option, Table, is_address, read
from lazulite.environments.spec import Packages, Unresolvable
from lazulite.model.run_plan import Install

ReadFile = Callable[[str], str]
"""The text of a file that a `-r` line names. Raises Unresolvable."""

HASH = "--hash"


@dataclass(slots=True)
class Command:
    """One run of `pip install` as far as it has been read. Options of the files it reads count for all of it, as in pip."""

    read: ReadFile
    where: str
    table: Table = field(default_factory=lambda: PIP)
    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    installs: bool = True

    def packages(self) -> Packages:
        """What it asks for; with options, as an installation of its own."""
        if not self.installs:
            return Packages(notes=[f"{self.where}: nothing is installed by this command."])
        notes = list(self.notes)
        if self.ignored:
            notes.append(f"{self.where}: ignored, without meaning here: {', '.join(dict.fromkeys(self.ignored))}.")
        if any(HASH in each for each in self.requirements) and "--no-require-hashes" not in self.ignored:
            self.pass_on(("--require-hashes",))
        if not (self.options and self.requirements):
            return Packages(requirements=self.requirements, constraints=self.constraints, notes=notes)
        install = Install(requirements=self.requirements, options=self.options)
        return Packages(installs=[install], constraints=self.constraints, notes=notes)

    def pass_on(self, words: tuple[str, ...]) -> None:
        """Words for uv, once each: a pair of option and value stays a pair."""
        pairs = [tuple(self.options[at : at + len(words)]) for at in range(len(self.options))]
        if words not in pairs:
            self.options += words


def parse_lines(lines: Iterable[str], read_file: ReadFile, where: str) -> Packages:
    """The lines of a conda file's pip section, which conda hands to pip as a requirements file. Raises Unresolvable."""
    command = Command(read_file, where)
    take_lines(command, lines, where)
    return command.packages()


def parse_arguments(arguments: list[str], read_file: ReadFile, where: str, table: Table = PIP) -> Packages:
    """What stands after `pip install`. Raises Unresolvable for what cannot be followed."""
    command = Command(read_file, where, table)
    take_arguments(command, arguments, where)
    return command.packages()


def take_arguments(command: Command, arguments: list[str], where: str) -> None:
    for option, value in read(arguments, command.table, where):
        if option is None:
            command.requirements.append(requirement(value, where))
        else:
            take_option(command, option, value, where)


def take_lines(command: Command, lines: Iterable[str], where: str) -> None:
    for line in lines:
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        if bare.startswith("-"):
            take_arguments(command, words_of(bare, where), where)
        elif bare:
            command.requirements.append(requirement_line(bare, where))


def take_option(command: Command, option: Option, value: str, where: str) -> None:
    match option.meaning:
        case Meaning.REQUIREMENTS:
            take_file(command, value, where)
        case Meaning.CONSTRAINTS:
            limits = Command(command.read, where, command.table)
            take_file(limits, value, where)
            command.constraints += [each.partition(f" {HASH}")[0] for each in limits.requirements + limits.constraints]
        case Meaning.EDITABLE:
            command.requirements.append(editable(value, where))
            command.notes.append(f"{where}: '{value}' is installed like any package, not editable.")
        case Meaning.PASSED:
            for each in values_of(option, value, where):
                command.pass_on((*option.uv, each) if option.takes_value else option.uv)
        case Meaning.NOTHING_INSTALLED:
            command.installs = False
        case Meaning.IGNORED:
            command.ignored.append(option.name)
        case Meaning.REFUSED:
            raise Unresolvable(f"{where}: {option.name} cannot be followed here: {option.why}")


def take_file(command: Command, name: str, where: str) -> None:
    """The lines of a requirements file. Files that it names lie beside it."""
    outer, folder = command.read, posixpath.dirname(name)
    text = re.sub(r"\\\r?\n", " ", outer(name))
    command.read = lambda inner: outer(inner if is_address(inner) else posixpath.join(folder, inner))
    try:
        take_lines(command, text.splitlines(), f"{where}, {name}")
    finally:
        command.read = outer


def values_of(option: Option, value: str, where: str) -> list[str]:
    """The values as uv takes them, one each."""
    if option.name in ("--no-binary", "--only-binary"):
        return [each.strip() for each in value.split(",") if each.strip()]
    if option.name == "--find-links" and not is_address(value):
        raise Unresolvable(
            f"{where}: --find-links {value} is a folder of the image, which is not built here: give the address of a "
            "page with the packages."
        )
    return [value]


def editable(text: str, where: str) -> str:
    """`-e git+https://host/x#egg=name` as the requirement of that name. Raises Unresolvable for a folder."""
    if not is_address(text):
        raise local_package(text, where)
    address, _, fragment = text.partition("#")
    egg = re.search(r"(?:^|&)egg=([^&\[]+(?:\[[^\]]*\])?)", fragment)
    rest = "&".join(each for each in fragment.split("&") if each and not each.startswith("egg="))
    plain = address + (f"#{rest}" if rest else "")
    return requirement(f"{egg[1]} @ {plain}" if egg else plain, where)


def requirement_line(line: str, where: str) -> str:
    """A requirement and its hashes. Raises Unresolvable for another option behind it."""
    text, *options = re.split(r"\s+(?=--?[A-Za-z])", line)
    hashes = []
    for option in options:
        name, _, value = option.replace(" ", "=", 1).partition("=")
        if name != HASH:
            raise Unresolvable(f"{where}: {name} behind '{text}' is not understood: Allowed: {HASH}.")
        hashes.append(f"{HASH}={value.strip()}")
    return " ".join([requirement(text, where), *hashes])


def requirement(text: str, where: str) -> str:
    """The requirement as uv takes it. Raises Unresolvable when it is none."""
    if is_address(text):
        return text
    try:
        return str(Requirement(text))
    except InvalidRequirement as error:
        if re.match(r"[./~]", text) or re.search(r"/|\.(whl|zip|tar\.gz|tgz)$", text):
            raise local_package(text, where) from error
        raise Unresolvable(f"{where}: '{text}' is not a package requirement such as name==1.0.") from error


def local_package(text: str, where: str) -> Unresolvable:
    return Unresolvable(
        f"{where}: installing the local package '{text}' is not built here. Add its folder to the job's code, "
        "or install it in the job's command."
    )


def words_of(line: str, where: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise Unresolvable(f"{where}: '{line}' cannot be read ({error}).") from error
