"""`lazulite kernel`: a Jupyter kernel whose notebooks come to a server here, in an environment like a compute instance's."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lazulite.cli import process
from lazulite.cli.client import address
from lazulite.cli.errors import FAILED, OK, CommandError
from lazulite.cli.home import home_folder
from lazulite.cli.variables import applied, client_variables
from lazulite.cli.workspace import chosen

#: What notebooks of Azure ML take for granted, as the kernel of a compute instance has it.
PACKAGES = (
    "azure-ai-ml>=1.35,<1.36",
    "azure-identity>=1.19",
    "azureml-dataprep[pandas]",
    "azureml-mlflow",
    "ipykernel>=6.29",
    "matplotlib",
    "mlflow",
    "mltable",
    "pandas<3",
    "pip",
    "pyarrow",
    "scikit-learn",
    # mltable looks its packages up by pkg_resources, which newer ones lack.
    "setuptools<81",
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.IGNORECASE)


def install(arguments: argparse.Namespace) -> int:
    """Make the kernel's environment, and tell Jupyter of it."""
    if not _NAME.fullmatch(arguments.name):
        raise CommandError(
            f"'{arguments.name}' is not a valid name of a kernel", "use letters, digits, '-', '_' and '.' alone"
        )
    home = home_folder(arguments.home)
    python, minor = _existing(arguments.env) if arguments.env else _made(home, arguments)
    title = arguments.display_name or f"Python {minor} - Lazulite"
    folder = _kernels(arguments.prefix, os.environ) / arguments.name
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "argv": [*_launcher(home, arguments), "--", python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": title,
        "language": "python",
        "metadata": {"debugger": True},
    }
    (folder / "kernel.json").write_text(json.dumps(document, indent=1) + "\n")
    print(f"Jupyter has the kernel '{title}' ({arguments.name}): {folder}")
    print("Its notebooks come to the server of this home, which is started with the first of them if none runs.")
    print("`lazulite init`, typed in a notebook's folder, writes the config.json that MLClient.from_config looks for.")
    print(f"To remove it: `jupyter kernelspec remove {arguments.name}`.")
    return OK


def start(arguments: argparse.Namespace) -> int:
    """What Jupyter calls: become the kernel, with the variables of the server and of the notebook's workspace set."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    server, _ = process.ensure(home_folder(arguments.home))
    workspace = chosen(server, arguments.workspace, arguments.group, arguments.subscription, Path.cwd())
    environment = applied(client_variables(address(server), os.environ, workspace.id), os.environ)
    # `!pip` and `%pip` are the kernel's own; `!lazulite` is this one's, and comes to the same server.
    folders = [str(Path(command[0]).parent), environment.get("PATH", ""), str(Path(sys.executable).parent)]
    environment["LAZULITE_HOME"] = str(server.home)
    environment["PATH"] = os.pathsep.join(folder for folder in folders if folder)
    try:
        os.execve(command[0], command, environment)  # noqa: S606
    except OSError as error:
        print(f"lazulite: the kernel's Python {command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return FAILED


def _launcher(home: Path, arguments: argparse.Namespace) -> list[str]:
    words = [sys.executable, "-m", "lazulite.cli.main", "kernel", "start", "--home", str(home)]
    given = {"workspace": arguments.workspace, "group": arguments.group, "subscription": arguments.subscription}
    return words + [part for name, value in given.items() if value for part in (f"--{name}", value)]


def _existing(folder: str) -> tuple[str, str]:
    """The interpreter of an environment that has what a kernel needs, and its minor version. Raises CommandError."""
    python = Path(folder).absolute() / "bin" / "python"
    code = "import sys, ipykernel; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        raise CommandError(f"--env must name a Python environment, and '{folder}' has no bin/python") from None
    if done.returncode:
        raise CommandError(
            f"the environment {folder} cannot run notebooks: {(done.stderr.strip().splitlines() or ['?'])[-1]}",
            f"install what they need: `uv pip install --python {python} {' '.join(_quoted(PACKAGES))}`",
        )
    return str(python), done.stdout.strip()


def _made(home: Path, arguments: argparse.Namespace) -> tuple[str, str]:
    """The interpreter of an environment of the home's own, made where it is not there yet. Raises CommandError."""
    if not re.fullmatch(r"3\.\d+", arguments.python):
        raise CommandError(f"'{arguments.python}' is not a version of Python", "write it as 3.10")
    # Loading this takes a moment, which every other command would pay for.
    from lazulite.environments.interpreters import choose, discover
    from lazulite.environments.spec import Unresolvable

    try:
        found, note = choose(arguments.python, discover())
    except Unresolvable as error:
        raise CommandError(str(error)) from None
    if note:
        print(f"lazulite: {note}", file=sys.stderr)
    packages = [*PACKAGES, *arguments.package]
    folder = home / "kernels" / arguments.name
    python = folder / "bin" / "python"
    print(f"Making an environment with Python {found.minor} in {folder} (a minute or two at first) ...", flush=True)
    uv = [sys.executable, "-m", "uv"]
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for command in (
        [*uv, "venv", "--quiet", "--clear", "--python", found.path, str(folder)],
        [*uv, "pip", "install", "--quiet", "--python", str(python), *packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandError(
                f"the kernel's environment cannot be made:\n{done.stderr.strip()[-2000:]}",
                "to take one that you have, with ipykernel in it: `lazulite kernel install --env DIR`",
            )
    return str(python), found.minor


def _kernels(prefix: str | None, environ: Mapping[str, str]) -> Path:
    """Where Jupyter looks for kernels: of an environment, or of this user."""
    if prefix:
        return Path(prefix).absolute() / "share" / "jupyter" / "kernels"
    if given := environ.get("JUPYTER_DATA_DIR"):
        return Path(given) / "kernels"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Jupyter" / "kernels"
    data = environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "jupyter" / "kernels"


def _quoted(packages: tuple[str, ...]) -> list[str]:
    return [f"'{one}'" if "<" in one or ">" in one else one for one in packages]
