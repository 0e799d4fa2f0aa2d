"""A conda file as PyPI requirements: names mapped, version matches translated. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

import yaml

from lazulite.core.numbers import is_digit
from lazulite.environments import pip_lines
from lazulite.environments.spec import Packages, Unresolvable

MATCH = re.compile(r"(?:[\w./-]+::)?(?P<name>[A-Za-z0-9_.-]+?)\s*(?:\[(?P<inner>.*)\]|(?P<rest>[ =<>!~].*))?")
INNER_VERSION = re.compile(r"version\s*=\s*['\"]?([^'\"\],]+(?:,[^'\"\]=]+)*)")


def parse(file: str | dict[str, Any], read: pip_lines.ReadFile) -> Packages:
    """The packages of a conda environment file, `read` opening what its pip section includes. Raises Unresolvable."""
    document = load(file)
    found = Packages()
    dependencies = document.get("dependencies") or []
    if not isinstance(dependencies, list):
        raise Unresolvable("conda_file: 'dependencies' must be a list.")
    found.add(parse_specs([each for each in dependencies if isinstance(each, str)]))
    for entry in dependencies:
        if isinstance(entry, dict) and isinstance(entry.get("pip"), list):
            lines = [str(line) for line in entry["pip"]]
            found.add(pip_lines.parse_lines(lines, read, "conda_file, pip section"))
        elif not isinstance(entry, str):
            raise Unresolvable(f"conda_file: '{entry}' is neither a package nor a pip section with a list.")
    variables = document.get("variables") or {}
    found.variables = {str(name): str(value) for name, value in variables.items()}
    return found


def parse_specs(specs: Iterable[str]) -> Packages:
    """Conda match specifications such as `numpy=1.22`, `conda-forge::pandas>=2`, `python=3.8`."""
    found = Packages()
    for spec in specs:
        name, version, build = split(spec)
        if name == "python":
            found.python = python_version(version)
        elif name in names()["ignored"]:
            found.notes.append(f"conda package '{spec}' is left out: {names()['ignored'][name]}.")
        elif name in names()["unavailable"] or name.startswith("r-"):
            reason = names()["unavailable"].get(name, "R packages are not available here")
            raise Unresolvable(f"conda_file: '{name}' cannot be installed without conda: {reason}.")
        else:
            found.requirements.append(names()["mapped"].get(name, name) + pep440(version, spec))
            if build:
                found.notes.append(f"conda package '{spec}': the build '{build}' is not asked for on PyPI.")
    return found


def split(spec: str) -> tuple[str, str, str]:
    """(name, version match, build) of a conda match specification. Raises Unresolvable."""
    match = MATCH.fullmatch(spec.strip())
    if not match:
        raise Unresolvable(f"conda_file: '{spec}' is not a conda package such as numpy=1.26.")
    if match["inner"] is not None:
        inner = INNER_VERSION.search(match["inner"])
        return match["name"].lower(), inner[1] if inner else "", ""
    rest = (match["rest"] or "").strip()
    if re.match(r"[=<>!~]", rest):
        exact = re.fullmatch(r"(={1,2}\s*[^=\s]+)(?:[=\s]+([\w.*-]+))?", rest)
        if exact:
            return match["name"].lower(), exact[1].replace(" ", ""), exact[2] or ""
        return match["name"].lower(), rest.replace(" ", ""), ""
    version, _, build = rest.partition(" ")
    return match["name"].lower(), f"=={version}" if version and is_digit(version[0]) else version, build


def pep440(version: str, spec: str) -> str:
    """A conda version match in Python's words: `=1.2` is `==1.2.*`; `|` has none. Raises Unresolvable."""
    if "|" in version:
        raise Unresolvable(f"conda_file: '{spec}' offers alternatives ('|'), which have no counterpart here: name one.")
    parts = []
    for part in filter(None, version.split(",")):
        operator, number = re.match(r"([=<>!~]*)(.*)", part).groups()  # type: ignore[union-attr]
        if number in ("", "*"):
            continue
        number = number.removesuffix(".*").removesuffix("*") + (".*" if number.endswith("*") else "")
        if operator == "=":
            operator, number = "==", number if number.endswith(".*") else f"{number}.*"
        if operator in (">=", "<=", ">", "<", "~="):
            number = number.removesuffix(".*")
        parts.append((operator or "==") + number)
    return ",".join(parts)


def python_version(version: str) -> str | None:
    """`3.8` of `=3.8.13`, `>=3.8,<3.10` or the like: the first that is named. None when none is."""
    match = re.search(r"(\d+)\.(\d+)", version)
    if not match:
        return None
    if match.start() and version[match.start() - 1] == "<":
        return f"{match[1]}.{int(match[2]) - 1}" if "=" not in version[: match.start()] else f"{match[1]}.{match[2]}"
    return f"{match[1]}.{match[2]}"


@cache
def names() -> dict[str, dict[str, str]]:
    """The table of conda names: `mapped` to PyPI's, `ignored` with the reason, `unavailable` with the way out."""
    text = resources.files("lazulite.environments").joinpath("conda_names.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def load(file: str | dict[str, Any]) -> dict[str, Any]:
    if isinstance(file, dict):
        return file
    try:
        document = yaml.safe_load(file)
    except yaml.YAMLError as error:
        raise Unresolvable(f"conda_file is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise Unresolvable("conda_file is not a mapping with 'dependencies'.")
    return document
