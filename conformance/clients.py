"""Clients of other versions, each in an environment of its own: the whole flow, and autologging outside a job and in one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import lazulite
from conformance import platform, venvs
from conformance.manifest import Case, Expectation
from conformance.report import Result
from lazulite.environments import interpreters

_SCRIPTS = Path(__file__).with_name("client_scripts")
_LIMIT_S = 900
_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04"
#: What a client says when something went wrong that it went on without.
COMPLAINTS = re.compile(
    r"^.*(Traceback|autologging encountered|Encountered unexpected error|Failed to |RestException|HTTPError|Max retries).*$",
    re.MULTILINE,
)


class Complaint(Exception):
    """A client failed, or said that something did; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class Client:
    """`packages` on a Python of that minor version. `autolog` names a framework, else the whole flow is run."""

    name: str
    python: str
    packages: tuple[str, ...]
    plugin: bool = False
    autolog: str = ""


def load(path: Path = Path(__file__).with_name("clients.toml")) -> list[Client]:
    entries = tomllib.loads(path.read_text())["client"]
    return [Client(**{**entry, "packages": tuple(entry["packages"])}) for entry in entries]


def run(client: Client, activation: lazulite.Activation, scratch: Path) -> Result:
    """What came of one client; its runs and jobs are in a workspace that is gone afterwards, if all went well."""
    began = time.monotonic()
    jobs = 0
    try:
        python = _python(client, activation.home / "clients")
        place = platform.make(activation, Case(client.name, "labs", "", "job"), scratch)
        scratch.mkdir(parents=True)
        said = _call(
            [python, str(_SCRIPTS / _script(client)[0]), *_script(client)[1:]], client, activation, place, scratch
        )
        if client.autolog:
            _job(client, place, scratch)
            jobs = 1
        platform.remove(place)
    except Exception as error:
        # A client may fail in any way; the others go on.
        reason = f"{type(error).__name__}: {error}"
        return Result(client.name, time.monotonic() - began, jobs, reason)
    return Result(client.name, time.monotonic() - began, jobs, "", [said.strip().splitlines()[-1]])


def complaints(text: str) -> list[str]:
    """The lines by which a client complains."""
    return [match[0] for match in COMPLAINTS.finditer(text)]


def _script(client: Client) -> list[str]:
    if client.autolog:
        return ["autolog.py", client.autolog]
    return ["flow.py", "files"]


def _python(client: Client, folder: Path) -> str:
    wanted = next((one for one in interpreters.discover() if one.minor == client.python), None)
    if wanted is None:
        raise venvs.NoEnvironment(f"there is no Python {client.python} on this machine")
    return venvs.interpreter(folder, client.packages, wanted.path)


def _call(
    command: list[str], client: Client, activation: lazulite.Activation, place: platform.Place, scratch: Path
) -> str:
    """What it printed. Raises Complaint."""
    (scratch / "files").mkdir()
    environment = os.environ | {"MLFLOW_TRACKING_URI": place.tracking_uri, "PYTHONWARNINGS": "ignore"}
    environment |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "GIT_PYTHON_REFRESH": "quiet"}
    del environment["MLFLOW_REGISTRY_URI"]
    if client.plugin:
        # It signs in as a person's client does outside a job, by azure-identity.
        del environment["MLFLOW_TRACKING_TOKEN"]
        environment["MLFLOW_TRACKING_URI"] = _plugin_uri(activation, place)
    done = subprocess.run(
        command,
        cwd=scratch,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    if done.returncode or complaints(done.stdout):
        raise Complaint("\n".join([*complaints(done.stdout), *done.stdout.splitlines()[-15:]]))
    return done.stdout


def _plugin_uri(activation: lazulite.Activation, place: platform.Place) -> str:
    host = activation.https_url.removeprefix("https://")
    workspace = f"/subscriptions/{place.subscription}/resourceGroups/{place.group}"
    workspace += f"/providers/Microsoft.MachineLearningServices/workspaces/{place.workspace}"
    return f"azureml://{host}/mlflow/v1.0{workspace}"


def _job(client: Client, place: platform.Place, scratch: Path) -> None:
    """Raises Complaint, Unmet and TimeoutError."""
    from azure.ai.ml import command
    from azure.ai.ml.entities import Environment

    code = scratch / "code"
    code.mkdir()
    shutil.copy2(_SCRIPTS / "autolog.py", code)
    conda = {"dependencies": [f"python={client.python}", "pip", {"pip": list(client.packages)}]}
    asked = command(
        command=f"python autolog.py {client.autolog}",
        code=str(code),
        environment=Environment(image=_IMAGE, conda_file=conda),
    )
    with platform.quiet():
        submitted = place.client.jobs.create_or_update(asked)
    # The run that was made outside is among the workspace's jobs too.
    ended = platform.wait(place.client, 0, time.monotonic() + _LIMIT_S)
    made = [job for job in ended if job.name == submitted.name]
    platform.check(place, made, (Expectation(log=(f"{client.autolog} logged",)),), scratch)
    log = "\n".join(path.read_text(errors="replace") for path in (scratch / "downloaded").rglob("user_logs/*.txt"))
    if complaints(log):
        raise Complaint("\n".join(complaints(log)))
