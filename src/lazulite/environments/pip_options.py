"""The options of `pip install` and `uv pip install`: which take a value, and what each means here. Pure.

The tables are held to pip's own parser by a test. `read` takes a command line apart as pip's parser does: short options
may be bundled (`-qUr FILE`) and carry their value (`-rFILE`), long ones may be shortened while it is clear which is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from lazulite.environments.spec import Unresolvable


class Meaning(Enum):
    REQUIREMENTS = "a file of requirements"
    CONSTRAINTS = "a file of constraints"
    EDITABLE = "a package that stays where it is"
    PASSED = "what uv is told"
    NOTHING_INSTALLED = "nothing is installed"
    IGNORED = "no meaning here"
    REFUSED = "cannot be followed"


@dataclass(frozen=True, slots=True)
class Option:
    names: tuple[str, ...]
    """`-r`, `--requirement`: the last is the one that messages use."""
    meaning: Meaning
    takes_value: bool
    uv: tuple[str, ...] = ()
    """uv's words for it; the value, if it takes one, follows."""
    why: str = ""
    """Of a refused option: what to do instead."""

    @property
    def name(self) -> str:
        return self.names[-1]


Table = Mapping[str, Option]

FILES = {
    "-r --requirement": Meaning.REQUIREMENTS,
    "-c --constraint": Meaning.CONSTRAINTS,
    "-e --editable": Meaning.EDITABLE,
}
PASSED_FLAGS = {
    "--no-dependencies --no-deps": "--no-deps",
    "--pre": "--prerelease allow",
    "--no-index": "--no-index",
    "--no-build-isolation": "--no-build-isolation",
    "--require-hashes": "--require-hashes",
}
PASSED_VALUES = {
    "-i --pypi-url --index-url": "--default-index",
    "--extra-index-url": "--index",
    "-f --find-links": "--find-links",
    "--no-binary": "--no-binary",
    "--only-binary": "--only-binary",
    "--trusted-host": "--allow-insecure-host",
    "--uploaded-prior-to": "--exclude-newer",
    "-C --config-setting --config-settings": "--config-setting",
}
NOTHING_INSTALLED = "-h --help, -V --version, --dry-run"
IGNORED_FLAGS = """
    --user, --no-user, -U --upgrade, --force-reinstall, -I --ignore-installed, --ignore-requires-python, --use-pep517,
    --no-use-pep517, --check-build-dependencies, --break-system-packages, --compile, --no-compile, --prefer-binary,
    --no-warn-script-location, --no-warn-conflicts, --no-require-hashes, --no-clean, --debug, --isolated,
    --require-venv --require-virtualenv, -v --verbose, -q --quiet, --no-input, --no-proxy-env, --no-cache-dir,
    --disable-pip-version-check, --no-color, --no-python-version-warning
"""
IGNORED_VALUES = """
    -t --target, --root, --prefix, --source --source-dir --source-directory --src, --upgrade-strategy, --progress-bar,
    --root-user-action, --report, --python, --local-log --log-file --log, --keyring-provider, --proxy, --retries,
    --default-timeout --timeout, --exists-action, --cert, --client-cert, --cache-dir, --use-feature, --use-deprecated,
    --resume-retries, --refresh-package
"""
OTHER_MACHINE = "it asks for packages of another machine than the one that the job runs on: leave it out."
NAME_PACKAGES = "name the packages themselves, or in a file for -r."
REFUSED_FLAGS = {"--only-dependencies --only-deps": NAME_PACKAGES}
REFUSED_VALUES = {
    "--platform": OTHER_MACHINE,
    "--python-version": OTHER_MACHINE,
    "--implementation": OTHER_MACHINE,
    "--abi": OTHER_MACHINE,
    "--group": NAME_PACKAGES,
    "--requirements-from-script": NAME_PACKAGES,
    "--build-constraint": "ask for a version of the package that has a wheel.",
    "--install-option": "leave it out.",
    "--global-option": "ask for a version of the package that has a wheel, or use --config-settings.",
    "--all-releases": "use --pre, or name the version.",
    "--only-final": "leave it out, with --pre.",
}
UV_FLAGS = (
    "--system, --compile-bytecode, -n --no-cache, --no-progress, --native-tls, --system-certs, --strict, --reinstall"
)
UV_VALUES = "-p --python, --link-mode, --color, --reinstall-package, -P --upgrade-package, --refresh-package"
UV_PASSED = "--index, --default-index, --index-strategy, --prerelease, --resolution, --exclude-newer, --torch-backend"
CONDA_FLAGS = """
    -y --yes, -q --quiet, -v --verbose, -k --insecure, --json, --debug, --offline, -d --dry-run, --download-only, --copy,
    --update-deps, --no-update-deps --freeze-installed, --update-all --all, --update-specs, --override-channels,
    --strict-channel-priority, --no-channel-priority, --force-reinstall, -C --use-index-cache, --use-local, --no-pin,
    --no-default-packages, -m --mkdir, --clobber, --no-shortcuts, -S --satisfied-skip-solve, --dev, --no-deps,
    --show-channel-urls, --no-py-pin, --allow-uninstall, --no-rc, --no-env
"""
CONDA_VALUES = """
    -c --channel, -n --name, -p --prefix, --experimental-solver --solver, --repodata-fn, --subdir --platform, --revision,
    -r --root-prefix, --channel-priority, --rc-file, --experimental
"""


def _table() -> dict[str, Option]:
    found = [Option(tuple(names.split()), meaning, True) for names, meaning in FILES.items()]
    for table, takes_value in ((PASSED_FLAGS, False), (PASSED_VALUES, True)):
        for names, uv in table.items():
            found.append(Option(tuple(names.split()), Meaning.PASSED, takes_value, tuple(uv.split())))
    for table, takes_value in ((REFUSED_FLAGS, False), (REFUSED_VALUES, True)):
        for names, why in table.items():
            found.append(Option(tuple(names.split()), Meaning.REFUSED, takes_value, why=why))
    found += _listed(NOTHING_INSTALLED, Meaning.NOTHING_INSTALLED, takes_value=False)
    found += _listed(IGNORED_FLAGS, Meaning.IGNORED, takes_value=False)
    found += _listed(IGNORED_VALUES, Meaning.IGNORED, takes_value=True)
    return _by_name(found)


def _listed(text: str, meaning: Meaning, *, takes_value: bool) -> list[Option]:
    return [Option(tuple(each.split()), meaning, takes_value) for each in text.split(",")]


def _by_name(options: list[Option]) -> dict[str, Option]:
    return {name: option for option in options for name in option.names}


PIP: Table = _table()
UV: Table = (
    dict(PIP)
    | _by_name(_listed(UV_FLAGS, Meaning.IGNORED, takes_value=False))
    | _by_name(_listed(UV_VALUES, Meaning.IGNORED, takes_value=True))
    | {name: Option((name,), Meaning.PASSED, True, (name,)) for name in UV_PASSED.split(", ")}
)

#: Of `conda install|create`, with mamba's and micromamba's own.
CONDA: Table = _by_name(
    [
        Option(("-f", "--file"), Meaning.REQUIREMENTS, True),
        Option(("--only-deps",), Meaning.REFUSED, False, why=NAME_PACKAGES),
        *_listed(CONDA_FLAGS, Meaning.IGNORED, takes_value=False),
        *_listed(CONDA_VALUES, Meaning.IGNORED, takes_value=True),
    ]
)

Word = tuple[Option | None, str]
"""(the option, its value or ""); (None, text) is what to install."""


def read(arguments: list[str], table: Table, where: str) -> list[Word]:
    """The command line in order. Raises Unresolvable for an option that is not known, or lacks its value."""
    words: list[Word] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return words + [(None, each) for each in waiting]
        if argument.startswith("--"):
            words.append(_long(argument, waiting, table, where))
        elif argument.startswith("-") and argument != "-":
            words += _short(argument, waiting, table, where)
        else:
            words.append((None, argument))
    return words


def _long(argument: str, waiting: list[str], table: Table, where: str) -> Word:
    name, equals, value = argument.partition("=")
    option = _find(name, table, where)
    if not option.takes_value and equals:
        raise Unresolvable(f"{where}: {name} takes no value, and '{value}' is given.")
    return option, value if equals else _value(option, waiting, where)


def _short(argument: str, waiting: list[str], table: Table, where: str) -> list[Word]:
    words: list[Word] = []
    for position, letter in enumerate(argument[1:], 2):
        option = _find(f"-{letter}", table, where)
        if option.takes_value:
            return [*words, (option, argument[position:] or _value(option, waiting, where))]
        words.append((option, ""))
    return words


def _value(option: Option, waiting: list[str], where: str) -> str:
    if not option.takes_value:
        return ""
    if not waiting:
        raise Unresolvable(f"{where}: {option.name} has no value.")
    return waiting.pop(0)


def _find(name: str, table: Table, where: str) -> Option:
    """The option of that name, or the only one whose long name begins so."""
    if name in table:
        return table[name]
    begun = {table[each].names: table[each] for each in table if each.startswith(name)} if len(name) > 2 else {}
    if len(begun) == 1:
        return next(iter(begun.values()))
    if begun:
        raise Unresolvable(
            f"{where}: {name} may be {' or '.join(sorted(each.name for each in begun.values()))}: write it out."
        )
    raise Unresolvable(f"{where}: {name} is not an option that is known here: correct or remove it.")


def is_address(text: str) -> bool:
    """Whether the text is an address that pip installs from."""
    return bool(re.match(r"(?:[a-z]+\+)?(?:https?|git|ssh|file)://", text))
