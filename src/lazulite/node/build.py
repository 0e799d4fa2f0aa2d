"""Building a virtual environment with uv, its words going into a log file as they come."""

import glob
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import build_causes, files, indexes, spawn
from .failure import RunFailure
from .isolation import Confined

PASSED = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "CC", "CXX", "CFLAGS", "LDFLAGS")


Confine = Callable[[list[str], str, list[str]], Confined]
"""(command, folder it begins in and reads, folders it writes to) to how it runs apart from the platform's own files,
where that is possible."""


def build(
    plan: Mapping[str, Any],
    folder: str,
    log: str,
    *,
    uv: str,
    cache: str | None,
    tick: Callable[[], None],
    confine: Confine = lambda command, _, __: Confined(command),
) -> bool:
    """Make the environment in `folder`. Returns whether a package's own code ran.

    Raises RunFailure (EnvironmentBuildFailed) with a short cause.

    Compiling a package runs its author's code: that happens as `confine` says, and only if a package needs it. It
    writes to `venv` and `scratch` alone: what lies beside them is written to by us, and we are not confined.
    """
    os.makedirs(folder)
    uv = shutil.which(uv) or uv
    venv = os.path.join(folder, "venv")
    uv_run = UvRun(plan, folder, log, uv_variables(cache), tick)
    with open(log, "a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in describe(plan)))
    make = [uv, "venv", "--quiet", "--relocatable", "--no-project", "--python", plan["interpreter"], venv]
    uv_run.must(Confined(make))
    scratch = os.path.join(folder, "scratch")
    for number, (requirements, options) in enumerate(installations(plan)):
        lists = lists_of(plan, number, requirements, options)
        install(uv_run, install_command(plan, lists, folder, venv, uv), list(options), confine, [venv, scratch])
    shutil.rmtree(scratch, ignore_errors=True)
    copy_context(plan, os.path.join(folder, "files"))
    return uv_run.compiled


def installations(plan: Mapping[str, Any]) -> Iterator[tuple[list[str], list[str]]]:
    """(requirements, options) of each, in order."""
    if plan["requirements"]:
        yield plan["requirements"], []
    for each in plan["installs"]:
        yield each["requirements"], each["options"]


def lists_of(plan: Mapping[str, Any], number: int, requirements: list[str], options: list[str]) -> dict[str, list[str]]:
    """The lines of the files that uv reads for one installation, by the file's stem."""
    lists = {f"requirements-{number}" if number else "requirements": requirements}
    if "--require-hashes" not in options:  # uv would ask for a hash of each constraint too
        lists |= {"constraints": plan["constraints"], "overrides": plan["overrides"]}
    return lists


def install(uv_run: "UvRun", command: list[str], options: list[str], confine: Confine, writable: list[str]) -> None:
    """Raises RunFailure. What must be compiled is known only after an attempt, but for what is asked to be.

    What a package does while it is compiled reaches this environment alone: its cache is the last of `writable`, as
    all later environments would take what it left in the shared one; and what comes after it is installed as it was.
    """
    if not uv_run.compiled:
        said = "--no-build" if "--no-binary" in options else uv_run.attempt([*command, *ready_builds_alone(options)])
        if said is None:
            return
        if not re.search(r"--no-build|no usable wheels|source distributions.{0,200}disabled", said):
            raise uv_run.failure(said)
        with open(uv_run.log, "a", encoding="utf-8") as file:
            file.write("Some packages have no ready build: compiling them, apart from the platform's files\n")
    uv_run.compiled = True
    variables = apart(writable[-1])
    uv_run.must(confine([*command, "--compile-bytecode", *options], uv_run.folder, writable), variables)


def ready_builds_alone(options: list[str]) -> list[str]:
    """The options with `--no-build`, which uv does not take beside `--only-binary`."""
    kept, waiting = ["--no-build"], list(options)
    while waiting:
        if waiting[0] == "--only-binary":
            del waiting[:2]
        else:
            kept.append(waiting.pop(0))
    return kept


def apart(scratch: str) -> dict[str, str]:
    """Variables with which nothing is written outside of that folder, which is made."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    places = {"HOME": "home", "TMPDIR": "tmp", "UV_CACHE_DIR": "cache"}
    found = {name: os.path.join(scratch, folder) for name, folder in places.items()}
    for folder in found.values():
        os.makedirs(folder, exist_ok=True)
    return {**found, "XDG_CONFIG_HOME": config}


class UvRun:
    """uv's runs of one build: their environment, and the log that their words go to."""

    def __init__(
        self, plan: Mapping[str, Any], folder: str, log: str, variables: dict[str, str], tick: Callable[[], None]
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.log = log
        self.variables = variables
        self.tick = tick
        #: Whether a package's own code has run: from then on nothing in the environment is to be trusted.
        self.compiled = False

    def attempt(
        self, command: list[str], restrict: Callable[[], None] | None = None, variables: Mapping[str, str] | None = None
    ) -> str | None:
        """None when it succeeded, else what it said. Raises RunFailure when there is no uv."""
        whole = whole_log(self.log)
        begin = os.path.getsize(whole) if os.path.exists(whole) else 0
        own = {**self.variables, **(variables or {})}
        try:
            code = spawn.run_logged(command, whole, own, self.folder, self.tick, restrict=restrict)
        except FileNotFoundError as error:
            raise RunFailure("EnvironmentBuildFailed", f"uv is not at {command[0]}: {error}") from error
        with open(whole, encoding="utf-8", errors="replace") as file:
            file.seek(begin)
            said = file.read()
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(said if code else folded(said, os.path.basename(whole)))
        return said if code else None

    def must(self, confined: Confined, variables: Mapping[str, str] | None = None) -> None:
        said = self.attempt(confined.command, confined.restrict, variables)
        if said is not None:
            raise self.failure(said)

    def failure(self, said: str) -> RunFailure:
        return RunFailure("EnvironmentBuildFailed", build_causes.explain(said, self.plan))


def install_command(
    plan: Mapping[str, Any], lists: Mapping[str, list[str]], folder: str, venv: str, uv: str
) -> list[str]:
    """uv's words for one installation but for its own options; the lists go into files of the folder."""
    command = [uv, "pip", "install", "--python", os.path.join(venv, "bin", "python"), "--no-progress"]
    for name, lines in lists.items():
        if lines:
            path = os.path.join(folder, f"{name}.txt")
            with open(path, "w", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
            command += [f"--{name.partition('-')[0]}", path]
    if plan["exclude_newer"]:
        command += ["--exclude-newer", plan["exclude_newer"]]
    return command


def whole_log(log: str) -> str:
    """Where everything stands that uv says; `log` has it folded. Clients do not stream a log of this name."""
    return os.path.join(os.path.dirname(log), "image_build_whole.txt")


def folded(said: str, elsewhere: str) -> str:
    """What uv said of an installation that succeeded, the packages it lists counted and not named."""
    lines = said.splitlines(keepends=True)
    listed = [line for line in lines if re.match(r" [-+~] ", line)]
    if not listed:
        return said
    kept = [line for line in lines if not re.match(r" [-+~] ", line)]
    return "".join([*kept, f"Packages installed or removed ({len(listed)}): see azureml-logs/{elsewhere}\n"])


def describe(plan: Mapping[str, Any]) -> Iterator[str]:
    yield f"Building environment {plan['name']} ({plan['key']})"
    yield f"Python {plan['python']}: {plan['interpreter']}"
    yield from (f"Note: {note}" for note in plan["notes"])
    for requirements, options in installations(plan):
        yield "Requirements: " + ", ".join(requirements) + (f" ({' '.join(options)})" if options else "")


def copy_context(plan: Mapping[str, Any], target: str) -> None:
    """A Dockerfile's COPY of whole files and folders, kept below `files/` under the image's own paths.

    Raises RunFailure where a link leads out of the context, or what was copied before has one on the way.
    """
    for step in plan["copies"]:
        try:
            context = files.beneath(plan["context"], plan.get("context_root"))
            source = files.beneath(os.path.join(context, step["source"]), context)
            place = files.beneath(os.path.join(target, step["destination"].lstrip("/")), target)
            if os.path.isdir(source):
                files.copy_tree(source, place, lambda _: None)
            else:
                os.makedirs(os.path.dirname(place), exist_ok=True)
                files.copy(source, place, lambda _: None)
        except OSError as error:
            said = f"COPY {step['source']} {step['destination']}: {error}"
            raise RunFailure("EnvironmentBuildFailed", said) from error


def uv_variables(cache: str | None) -> dict[str, str]:
    """uv's environment: its own settings, and pip's package index where uv is told of none."""
    variables = {name: os.environ[name] for name in PASSED if name in os.environ}
    variables |= {name: value for name, value in os.environ.items() if name.startswith("UV_")}
    variables |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    for name, value in indexes.pip_settings().items():
        variables.setdefault(indexes.PIP_TO_UV[name], " ".join(value.split()))
        variables.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")  # pip's own way
    variables |= {"UV_PYTHON_DOWNLOADS": "never", "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    if cache:
        variables["UV_CACHE_DIR"] = cache
    return variables


def compile_later(shared: str, interpreter: str, requirements: list[str]) -> None:
    """Byte-compile the packages in a process of its own: a job sees them read-only and could not keep it.

    What was asked for by name comes first, tests never. The interpreter is the bare one: that of the environment
    would run what packages ask to be run at every start. Not for what packages' own code has written to, as links in
    it lead anywhere: that was compiled where it was installed.
    """
    (packages,) = glob.glob(os.path.join(shared, "venv", "lib", "python*", "site-packages"))
    first = [os.path.join(packages, name) for name in import_names(packages, requirements)]
    workers = str(max(1, (os.cpu_count() or 1) // 2))
    options = ["-q", "-q", "-j", workers, "-x", "/tests?/"]
    python = [interpreter, "-I", "-S", "-m", "compileall"]
    spawn.detached([*python, *options, *filter(os.path.isdir, first), packages])


def import_names(packages: str, requirements: list[str]) -> list[str]:
    """The top folders that the distributions of `requirements` installed, in their order."""
    names: dict[str, None] = {}
    for requirement in requirements:
        stem = re.sub(r"[-_.]+", "_", re.split(r"[^\w.-]", requirement, maxsplit=1)[0]).lower()
        for record in glob.glob(os.path.join(packages, f"{stem}-*.dist-info", "RECORD")):
            if not os.path.isfile(record):
                continue
            with open(record, encoding="utf-8") as file:
                tops = [line.partition("/")[0] for line in file if "/" in line]
            names.update(dict.fromkeys(top for top in tops if top.isidentifier()))
    return list(names)
