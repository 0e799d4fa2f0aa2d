"""`lazulite.activate()`: the variables of `lazulite env` set in this Python process, for notebooks and tests."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lazulite.cli import init, process
from lazulite.cli.client import address
from lazulite.cli.home import home_folder
from lazulite.cli.variables import client_variables
from lazulite.cli.workspace import Workspace, chosen, of_config
from lazulite.core.command_line import RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE


@dataclass(frozen=True, slots=True)
class Activation:
    """The server this process's clients now come to, and the workspace that MLflow logs to.

    `started` tells whether `activate` had to start it; it then runs on in the background until `lazulite down`.
    `config` is the config.json that `MLClient.from_config` finds from here; None where there is none.
    """

    home: Path
    https_url: str
    http_url: str
    pid: int
    started: bool
    subscription_id: str = SUBSCRIPTION
    resource_group: str = RESOURCE_GROUP
    workspace_name: str = WORKSPACE
    config: Path | None = None

    def __str__(self) -> str:
        place = f"Lazulite at {self.https_url}, workspace {self.workspace_name} (home {self.home})"
        if self.config is not None:
            return f"{place}. MLClient.from_config finds {self.config}."
        return (
            f"{place}. For MLClient.from_config there is no config.json yet: lazulite.activate(config=True) writes it."
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows below the cell."""
        printer.text(str(self))


def activate(
    home: str | os.PathLike[str] | None = None,
    *,
    workspace: str | None = None,
    resource_group: str | None = None,
    config: bool | None = None,
) -> Activation:
    """Point the Azure ML, MLflow and Blob clients of this process to the server of `home`, starting one if none runs.

    `home` is a folder, by default LAZULITE_HOME, else ~/.lazulite. MLflow logs to `workspace`, by default that of a
    config.json in this folder or above it, else the server's first. `config` tells whether to write the config.json of
    `MLClient.from_config` into this folder where there is none; by default a notebook has it written, and a program
    does not. Call it before making an MLClient or a credential. Raises CommandError if no server can be started, or
    the workspace is not there.
    """
    server, started = process.ensure(home_folder(None if home is None else os.fspath(home)))
    found = chosen(server, workspace, resource_group, None, Path.cwd())
    changes = client_variables(address(server), os.environ, found.id)
    for name in changes.unset:
        os.environ.pop(name, None)
    os.environ.update(changes.set)
    return Activation(
        server.home,
        server.https_url,
        server.http_url,
        server.pid,
        started is not None,
        found.subscription,
        found.group,
        found.name,
        _config(found, _in_a_notebook() if config is None else config),
    )


def _config(workspace: Workspace, wanted: bool) -> Path | None:
    """The config.json that names the workspace, written where it is wanted and none is there to be overwritten."""
    there = of_config(Path.cwd())
    if there is None and wanted and not (Path.cwd() / init.CONFIG).exists():
        return init.write(Path.cwd(), workspace)
    return there.config if there is not None and there.id.lower() == workspace.id.lower() else None


def _in_a_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")
