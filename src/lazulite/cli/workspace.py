"""Which workspace a command means: what its options name, else the folder's config.json, else the first one."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from lazulite.cli.client import call
from lazulite.cli.errors import CommandError
from lazulite.cli.home import Server, home_folder, required_server
from lazulite.cli.variables import workspace_id
from lazulite.core.command_line import RESOURCE_GROUP, SUBSCRIPTION, WORKSPACE

#: Where the SDK's `MLClient.from_config` looks, in its order: each in the folder, then in all above it.
_FOLDERS, _FILES = (".azureml", "aml_config", ""), ("config.json", "project.json")
_API = "api-version=2024-10-01"


@dataclass(frozen=True, slots=True)
class Workspace:
    """`config` is the file that names it, where it was neither the options nor the default."""

    subscription: str = SUBSCRIPTION
    group: str = RESOURCE_GROUP
    name: str = WORKSPACE
    config: Path | None = None

    @property
    def id(self) -> str:
        return workspace_id(self.subscription, self.group, self.name)


def server_of(arguments: argparse.Namespace) -> Server:
    """The running server of the options' home; what they leave open of the workspace is filled in. Raises CommandError."""
    server = required_server(home_folder(arguments.home))
    if None in (arguments.workspace, arguments.group, arguments.subscription):
        found = chosen(server, arguments.workspace, arguments.group, arguments.subscription, Path.cwd())
        arguments.workspace, arguments.group, arguments.subscription = found.name, found.group, found.subscription
    return server


def chosen(server: Server, name: str | None, group: str | None, subscription: str | None, folder: Path) -> Workspace:
    """The workspace of the options, else of the config.json in or above `folder`, else the first.

    Raises CommandError where options name one that is not there. A config.json may be of real Azure: then it is said
    that it does not count.
    """
    if name or group or subscription:
        named = Workspace(subscription or SUBSCRIPTION, group or RESOURCE_GROUP, name or WORKSPACE)
        call(server, "GET", f"{named.id}?{_API}")
        return named
    found = of_config(folder)
    if found is None:
        return Workspace()
    try:
        call(server, "GET", f"{found.id}?{_API}")
    except CommandError:
        said = f"{found.config} names workspace '{found.name}', which this server does not have: {WORKSPACE} is taken"
        print(f"lazulite: {said}", file=sys.stderr)
        return Workspace()
    return found


def of_config(folder: Path) -> Workspace | None:
    """What the config.json says that `MLClient.from_config` would find from this folder; None without one."""
    above = [folder.absolute(), *folder.absolute().parents]
    for below in _FOLDERS:
        for file in _FILES:
            for one in above:
                if (path := one / below / file).is_file():
                    return _read(path)
    return None


def _read(path: Path) -> Workspace | None:
    """None for a file of another program."""
    try:
        document = json.loads(path.read_text())
        named = [document[key] for key in ("subscription_id", "resource_group", "workspace_name")]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all(isinstance(one, str) and one for one in named):
        return None
    return Workspace(named[0], named[1], named[2], path)
