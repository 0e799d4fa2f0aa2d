"""`lazulite.activate()`: the variables of `lazulite env` set in this Python process, for notebooks and tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lazulite.cli import process
from lazulite.cli.client import address
from lazulite.cli.home import home_folder
from lazulite.cli.variables import RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE, client_variables


@dataclass(frozen=True, slots=True)
class Activation:
    """The server this process's clients now come to, and the workspace it starts with.

    `started` tells whether `activate` had to start it; it then runs on in the background until `lazulite down`.
    """

    home: Path
    https_url: str
    http_url: str
    pid: int
    started: bool
    subscription_id: str = SUBSCRIPTION
    resource_group: str = RESOURCE_GROUP
    workspace_name: str = WORKSPACE

    def __str__(self) -> str:
        return f"Lazulite at {self.https_url}, workspace {self.workspace_name} (home {self.home})"


def activate(home: str | os.PathLike[str] | None = None) -> Activation:
    """Point the Azure ML, MLflow and Blob clients of this process to the server of `home`, starting one if none runs.

    `home` is a folder, by default LAZULITE_HOME, else ~/.lazulite. Call it before making an MLClient or a credential.
    Raises CommandError if no server can be started.
    """
    server, started = process.ensure(home_folder(None if home is None else os.fspath(home)))
    changes = client_variables(address(server), os.environ)
    for name in changes.unset:
        os.environ.pop(name, None)
    os.environ.update(changes.set)
    return Activation(server.home, server.https_url, server.http_url, server.pid, started is not None)
