"""Lines of a requirements file, of a conda file's `pip:` section, and the arguments of `pip install`. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable

from packaging.requirements import InvalidRequirement, Requirement

from lazulite.environments.spec import Packages, Unresolvable

ReadFile = Callable[[str], str]
"""The text of a file that a `-r` line names. Raises Unresolvable."""

WITH_VALUE = {
    "--extra-index-url": "--index",
    "--index-url": "--default-index",
    "-i": "--default-index",
    "--find-links": "--find-links",
    "-f": "--find-links",
}
FILES = {"-r", "--requirement", "-c", "--constraint"}
IGNORED_WITH_VALUE = {
    "--trusted-host",
    "--timeout",
    "--retries",
    "--cache-dir",
    "--progress-bar",
    "--target",
    "-t",
    "--root",
}
DIRECT = re.compile(r"(?:[a-z]+\+)?(?:https?|git|ssh|file)://")


def parse_text(text: str, read: ReadFile, where: str) -> Packages:
    """A requirements file's text. Raises Unresolvable naming the line."""
    joined = re.sub(r"\\\r?\n", " ", text)
    return parse_lines(joined.splitlines(), read, where)


def parse_lines(lines: Iterable[str], read: ReadFile, where: str) -> Packages:
    found = Packages()
    for line in lines:
        bare = re.sub(r"(^|\s)#.*$", "", line).strip()
        if bare.startswith("-"):
            found.add(parse_arguments(shlex.split(bare.replace("=", " ", 1) if is_option(bare) else bare), read, where))
        elif bare:
            found.requirements.append(requirement(re.sub(r"\s--hash=\S+", "", bare), where))
    return found


def parse_arguments(arguments: list[str], read: ReadFile, where: str) -> Packages:
    """What stands after `pip install`. Raises Unresolvable for what cannot be followed."""
    found = Packages()
    waiting = split_equals(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument in FILES | WITH_VALUE.keys() | IGNORED_WITH_VALUE:
            if not waiting:
                raise Unresolvable(f"{where}: {argument} has no value.")
            found.add(with_value(argument, waiting.pop(0), read, where))
        elif argument == "--pre":
            found.index_options += ["--prerelease", "allow"]
        elif argument in ("-e", "--editable") or argument.startswith((".", "/")):
            what = waiting[0] if argument.startswith("-e") and waiting else argument
            raise Unresolvable(
                f"{where}: installing the local package '{what}' is not built here. Add its folder to the job's code, "
                "or install it in the job's command."
            )
        elif not argument.startswith("-"):
            found.requirements.append(requirement(argument, where))
    return found


def with_value(option: str, value: str, read: ReadFile, where: str) -> Packages:
    if option in ("-r", "--requirement"):
        return parse_text(read(value), read, f"{where}, {value}")
    if option in ("-c", "--constraint"):
        return Packages(constraints=parse_text(read(value), read, f"{where}, {value}").requirements)
    if option in WITH_VALUE:
        return Packages(index_options=[WITH_VALUE[option], value])
    return Packages()


def requirement(text: str, where: str) -> str:
    """The requirement as uv takes it. Raises Unresolvable when it is none."""
    if DIRECT.match(text):
        return text
    try:
        return str(Requirement(text))
    except InvalidRequirement as error:
        raise Unresolvable(f"{where}: '{text}' is not a package requirement such as name==1.0.") from error


def is_option(line: str) -> bool:
    return bool(re.match(r"--?[\w-]+=", line))


def split_equals(arguments: list[str]) -> list[str]:
    """`--option=value` as two arguments."""
    parts: list[str] = []
    for argument in arguments:
        parts += argument.split("=", 1) if is_option(argument) else [argument]
    return parts
