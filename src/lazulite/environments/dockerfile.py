"""A simple Dockerfile as packages: FROM, ARG, ENV, WORKDIR, COPY, `RUN pip install`, conda; the rest is named. Pure.

Nothing is executed. What changes only the system (apt-get and the like) is noted as approximated; what cannot be
followed is refused with its line.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lazulite.core.paths import open_file
from lazulite.environments import conda, pip_lines, pip_options
from lazulite.environments.pip_options import CONDA, PIP, UV, Meaning
from lazulite.environments.spec import BuildContext, Packages, Unresolvable
from lazulite.model.run_plan import CopyStep

HARMLESS = {
    "mkdir",
    "rm",
    "ln",
    "chmod",
    "chown",
    "echo",
    "export",
    "set",
    "true",
    "cd",
    "ldconfig",
    "touch",
    "ls",
    "find",
}
SYSTEM = {
    "apt-get",
    "apt",
    "apk",
    "yum",
    "dnf",
    "useradd",
    "groupadd",
    "adduser",
    "addgroup",
    "locale-gen",
    "sed",
    "curl",
}
SYSTEM |= {
    "wget",
    "update-ca-certificates",
    "apt-key",
    "add-apt-repository",
    "tar",
    "unzip",
    "git",
    "make",
    "sudo",
    "gpg",
}
INSTALLERS = {"apt-get", "apt", "apk", "yum", "dnf"}
#: System packages without which the job's command would not run: languages other than Python.
LANGUAGE = re.compile(
    r"(?:r-base|r-cran-|r-recommended|littler|julia|openjdk|default-(?:jdk|jre)|java-|maven|gradle|nodejs|npm|golang|"
    r"rustc|cargo|ruby|php|dotnet|mono-|octave|ghc|scala)"
)
SILENT = {"LABEL", "MAINTAINER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "VOLUME", "SHELL", "ONBUILD"}
NOTED = {"USER", "CMD", "ENTRYPOINT"}


@dataclass(slots=True)
class Image:
    """The image as far as it has been read."""

    context: Path | None
    base: str | None = None
    packages: Packages = field(default_factory=Packages)
    copies: list[CopyStep] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    where: str = ""

    def refuse(self, why: str) -> Unresolvable:
        return Unresolvable(f"{self.where}: {why}")

    def expand(self, text: str) -> str:
        """`$NAME`, `${NAME}` and `${NAME:-default}` from ARG and ENV; unknown names are empty, as in docker."""
        known = self.arguments | self.packages.variables
        pattern = r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})"
        return re.sub(pattern, lambda m: known.get(m[1] or m[2], m[3] or ""), text)

    def read(self, name: str) -> str:
        """The text of a file of the image: it came by a COPY. Raises Unresolvable."""
        wanted = posixpath.normpath(posixpath.join(self.workdir, name))
        for step in reversed(self.copies):
            rest = below(wanted, step.destination)
            if rest is None or self.context is None:
                continue
            path = beneath(self.context, posixpath.join(step.source, rest) if rest else step.source)
            if path is not None and path.is_file():
                with os.fdopen(open_file(path), encoding="utf-8") as file:
                    return file.read()
        raise self.refuse(f"'{name}' was not copied into the image from the build context: add a COPY for it.")


def parse(build: BuildContext) -> Image:
    """Read the whole Dockerfile. Raises Unresolvable naming the line."""
    image = Image(Path(build.folder) if build.folder else None)
    for number, keyword, rest in instructions(build.dockerfile):
        image.where = f"Dockerfile line {number} ({keyword} {rest[:80]})"
        if keyword in NOTED:
            image.packages.notes.append(f"{image.where}: the job's own command and user count instead.")
        elif keyword in HANDLERS:
            HANDLERS[keyword](image, rest)
        elif keyword not in SILENT:
            raise image.refuse(f"{keyword} is not understood here.")
    if image.base is None:
        raise Unresolvable("The Dockerfile has no FROM.")
    return image


def instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """(line number, keyword, rest) of each instruction, continued lines joined."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (not line.strip() and not pending):
            continue
        start = start or number
        pending += line.rstrip().removesuffix("\\") + " "
        if line.rstrip().endswith("\\"):
            continue
        keyword, _, rest = pending.strip().partition(" ")
        yield start, keyword.upper(), rest.strip()
        pending, start = "", 0
    if pending.strip():
        keyword, _, rest = pending.strip().partition(" ")
        yield start, keyword.upper(), rest.strip()


def read_from(image: Image, rest: str) -> None:
    if image.base is not None:
        raise image.refuse("a second FROM (a build in stages) is not built here: use one FROM.")
    words = [word for word in image.expand(rest).split() if not word.startswith("--")]
    image.base = words[0]


def read_arg(image: Image, rest: str) -> None:
    name, _, default = rest.partition("=")
    image.arguments[name.strip()] = image.expand(default.strip().strip("\"'"))


def read_env(image: Image, rest: str) -> None:
    if "=" not in rest.split()[0]:
        name, _, value = rest.partition(" ")
        image.packages.variables[name] = image.expand(value.strip())
        return
    for word in shlex.split(rest):
        name, _, value = word.partition("=")
        image.packages.variables[name] = keep_path(value) if name == "PATH" else image.expand(value)


def keep_path(value: str) -> str:
    """PATH without the image's own folders of Python: the environment's come first anyway."""
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return value.replace("${PATH}", system).replace("$PATH", system)


def read_workdir(image: Image, rest: str) -> None:
    image.workdir = posixpath.normpath(posixpath.join(image.workdir, image.expand(rest)))


def read_copy(image: Image, rest: str) -> None:
    words = shlex.split(image.expand(rest).strip("[]").replace('", "', '" "'))
    if any(word.startswith("--from") for word in words):
        raise image.refuse("COPY --from another image is not built here.")
    *sources, destination = [word for word in words if not word.startswith("--")]
    if image.context is None:
        raise image.refuse("the environment has no build context to copy from.")
    target = posixpath.join(image.workdir, destination)
    for source in sources:
        if "://" in source:
            raise image.refuse("ADD of an address is not built here: put the file into the build context.")
        for path in matches(image, source):
            into_folder = destination.endswith(("/", ".")) or len(sources) > 1 or "*" in source
            name = posixpath.join(target, path.name) if into_folder and path.is_file() else target
            relative = os.path.relpath(path, image.context)
            image.copies.append(CopyStep(source=relative, destination=posixpath.normpath(name)))


def matches(image: Image, source: str) -> list[Path]:
    assert image.context is not None
    bare = posixpath.normpath(source.lstrip("/")) if source.strip("/") else "."
    if ".." in bare.split("/"):
        raise image.refuse(f"'{source}' lies outside the build context.")
    found = sorted(image.context.glob(bare)) if "*" in bare else [image.context / bare]
    inside = (path for path in found if beneath(image.context, os.path.relpath(path, image.context)))
    safe = [path for path in inside if path.is_file() or path.is_dir()]
    if not safe:
        raise image.refuse(f"'{source}' is not in the build context.")
    return safe


def read_run(image: Image, rest: str) -> None:
    if "<<" in rest:
        raise image.refuse("a RUN with a here-document is not understood: write each command in a RUN of its own.")
    rest = re.sub(r"^(--\w+=\S+\s+)+", "", rest)
    for command in re.split(r"&&|;|\|\|", image.expand(rest)):
        try:
            words = shlex.split(command.strip("[] ").replace('", "', '" "') if rest.startswith("[") else command)
        except ValueError as error:
            raise image.refuse(f"the command cannot be read ({error}).") from error
        if words:
            run_command(image, words)


def run_command(image: Image, words: list[str]) -> None:
    """One command of a RUN line."""
    words = without_prefixes(words)
    if not words:
        return
    program = posixpath.basename(words[0])
    install = pip_arguments(program, words)
    if install is not None:
        table = UV if program == "uv" else PIP
        image.packages.add(pip_lines.parse_arguments(install, image.read, image.where, table))
    elif program in ("conda", "mamba", "micromamba"):
        run_conda(image, words[1:])
    elif program in INSTALLERS and (language := next((w for w in words[1:] if LANGUAGE.match(w)), None)):
        raise image.refuse(
            f"'{language}' is not a Python package: here an image is its Python packages. Let the image itself run: "
            'runtime = "container" in settings.toml.'
        )
    elif program in SYSTEM:
        image.packages.notes.append(
            f"{image.where}: '{program}' changes the system and is left out; this machine's own counts."
        )
    elif program not in HARMLESS:
        raise image.refuse(
            f"'{' '.join(words)[:100]}' is not understood: here an image is its Python packages. Install them with "
            "RUN pip install and leave the rest to the job's command, or let the image itself run: "
            'runtime = "container" in settings.toml.'
        )


def without_prefixes(words: list[str]) -> list[str]:
    """The command behind `NAME=value`, `sudo`, `conda run -n x`, `. activate` and the like."""
    while words and (re.fullmatch(r"\w+=.*", words[0]) or words[0] in ("sudo", "exec", "time")):
        words = words[1:]
    if words[:2] == ["conda", "run"]:
        rest = words[2:]
        while rest and rest[0].startswith("-"):
            rest = rest[2:] if rest[0] in ("-n", "--name", "-p", "--prefix") else rest[1:]
        return rest
    return [] if words[:1] in (["source"], ["."]) else words


def pip_arguments(program: str, words: list[str]) -> list[str] | None:
    """What follows `pip install`, however pip is called; [] for its other verbs, None when it is not pip."""
    rest = None
    if re.fullmatch(r"pip[\d.]*", program):
        rest = words[1:]
    elif re.fullmatch(r"python[\d.]*", program) and words[1:3] == ["-m", "pip"]:
        rest = words[3:]
    elif program == "uv" and words[1:2] == ["pip"]:
        rest = words[2:]
    if rest is None:
        return None
    return rest[1:] if rest[:1] == ["install"] else []


def run_conda(image: Image, words: list[str]) -> None:
    """`env create|update -f FILE`, `install SPEC...`, `create`; the other verbs change nothing that counts here."""
    if words[:1] == ["env"]:
        name = option_value(words, "-f", "--file")
        if name is None:
            raise image.refuse("conda env without -f FILE is not understood.")
        image.packages.add(conda.parse(image.read(name), image.read))
    elif words[:1] in (["install"], ["create"]):
        specs, ignored = [], []
        for option, value in pip_options.read(words[1:], CONDA, image.where):
            if option is None:
                specs.append(value)
            elif option.meaning is Meaning.REFUSED:
                raise image.refuse(f"{option.name} cannot be followed here: {option.why}")
            elif option.meaning is Meaning.REQUIREMENTS:
                specs += read_specs(image, value)
            else:
                ignored.append(option.name)
        if ignored:
            image.packages.notes.append(f"{image.where}: ignored, without meaning here: {', '.join(ignored)}.")
        image.packages.add(conda.parse_specs(specs))


def read_specs(image: Image, name: str) -> list[str]:
    """The packages of a file with one in each line. A conda file is taken over at once, as micromamba does."""
    text = image.read(name)
    if name.endswith((".yml", ".yaml")):
        image.packages.add(conda.parse(text, image.read))
        return []
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    if "@EXPLICIT" in lines:
        raise image.refuse(f"'{name}' lists files of conda packages (@EXPLICIT): list packages by name and version.")
    return [line for line in lines if line]


def option_value(words: list[str], *names: str) -> str | None:
    for position, word in enumerate(words):
        if word in names and position + 1 < len(words):
            return words[position + 1]
        for name in names:
            if word.startswith(f"{name}="):
                return word.split("=", 1)[1]
    return None


def below(path: str, folder: str) -> str | None:
    """`path` relative to `folder`, empty when they are one, None when it lies elsewhere."""
    if path == folder:
        return ""
    prefix = folder.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def beneath(root: Path, relative: str) -> Path | None:
    """The path below `root`, or None when a link or `..` leads out of it."""
    real = Path(os.path.realpath(root / relative))
    return real if real.is_relative_to(os.path.realpath(root)) else None


HANDLERS: dict[str, Callable[[Image, str], None]] = {
    "FROM": read_from,
    "ARG": read_arg,
    "ENV": read_env,
    "WORKDIR": read_workdir,
    "COPY": read_copy,
    "ADD": read_copy,
    "RUN": read_run,
}
