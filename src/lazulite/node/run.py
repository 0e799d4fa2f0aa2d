"""One run as its hooks see it: the plan, the folders, what they found out for each other, and the clock's tick."""

import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from . import disk
from .failure import Canceled, RunFailure
from .status import Status, now

#: Below the run's folder. What is in `exe` and `cap` is the job's to replace, also by links.
WORKDIR = ("exe", "wd")
CAPABILITY = ("cap", "data-capability", "wd")
HEARTBEAT_S = 5.0
CANCEL_POLL_S = 0.2


class Mount(NamedTuple):
    """`source` shall be seen at `target`, by a bind mount or a link."""

    source: str
    target: str
    writable: bool = False


class Run:
    # No dataclass, here and beside: importing what makes them costs each job a seventh of its start.
    def __init__(
        self, folder: str, plan: dict[str, Any], secrets: dict[str, Any], status: Status, *, image: str = ""
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.secrets = secrets
        self.status = status
        self.mounts: list[Mount] = []
        self.variables: dict[str, str] = {}
        #: What `inputs.x` and `outputs.x` stand for in the command.
        self.values: dict[str, str] = {}
        self.shared_environment = ""
        #: The id of the container image that is the environment.
        self.image = image
        self.cancel_requested = False
        self.cancelable = True
        #: Called about every three seconds while the process runs.
        self.periodic: list[Callable[[], None]] = []
        #: Time and size of each artifact as it was last copied.
        self.collected: dict[str, tuple[int, int]] = {}
        self._heartbeat_at = 0.0
        self._cancel_at = 0.0

    def path(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    @property
    def workdir(self) -> str:
        return self.path(*WORKDIR)

    @property
    def capability(self) -> str:
        """Where inputs and outputs appear."""
        return self.path(*CAPABILITY)

    @property
    def layer(self) -> str:
        """The job's own virtual environment over the shared one."""
        return self.path("env")

    @property
    def is_trial(self) -> bool:
        """Whether it is a trial of a sweep, which finds its inputs and outputs in `AZUREML_SWEEP_<name>` as well."""
        return any(name.startswith("AZUREML_SWEEP_") for name in self.plan["variables"])

    @property
    def container(self) -> dict[str, Any] | None:
        """What runs containers, where the environment is an image."""
        engine: dict[str, Any] | None = self.plan.get("container")
        return engine

    def artifact(self, name: str) -> str:
        """The path of one artifact, its folder made."""
        path = os.path.join(self.plan["artifacts"], name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def log(self, text: str) -> None:
        """One line of the job's system log; left out on a full disk."""
        try:
            with open(self.artifact("system_logs/agent.log"), "a", encoding="utf-8") as file:
                file.write(f"{now()} {text}\n")
        except OSError as error:
            if not disk.is_full(error):
                raise

    def activity(self, text: str) -> None:
        self.log(text)
        self.status.write(activity=text)

    def query(self, name: str) -> str:
        """The SAS query of `code`, `inputs.x` or `outputs.x`; empty when it has none."""
        return str(self.secrets["queries"].get(name, ""))

    @property
    def grace_s(self) -> float:
        """Seconds between SIGTERM and SIGKILL: what the wish to cancel says, else the plan."""
        try:
            with open(self.path("cancel"), encoding="ascii") as file:
                return float(file.read(32))
        except (OSError, ValueError):
            return float(self.plan["grace_s"])

    def tick(self) -> None:
        """To be called often by whatever takes time. Raises Canceled once the end was asked for.

        Raises RunFailure (RunFolderGone) where nobody could be told any more how the run ends.
        """
        moment = time.monotonic()
        if moment >= self._heartbeat_at:
            self._heartbeat_at = moment + HEARTBEAT_S
            self.status.write()
        if moment >= self._cancel_at:
            self._cancel_at = moment + CANCEL_POLL_S
            self.cancel_requested = self.cancel_requested or os.path.exists(self.path("cancel"))
            if not os.path.isdir(self.folder):
                raise RunFailure("RunFolderGone", f"The run's folder {self.folder} was deleted while the job ran.")
        if self.cancel_requested and self.cancelable:
            raise Canceled


def load(folder: str) -> Run:
    """Read the plan and the secrets. Raises OSError or ValueError when the plan cannot be read."""
    with open(os.path.join(folder, "plan.json"), "rb") as file:
        plan = json.load(file)
    secrets: dict[str, Any] = {"variables": {}, "queries": {}}
    try:
        with open(os.path.join(folder, "secrets.json"), "rb") as file:
            secrets.update(json.load(file))
    except FileNotFoundError:
        pass
    return Run(folder, plan, secrets, Status(os.path.join(folder, "status.json")))
