"""`lazulite init`: write the config.json that `MLClient.from_config` looks for."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lazulite.cli.errors import OK, CommandError
from lazulite.cli.workspace import Workspace

CONFIG = "config.json"


def init(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    if not folder.is_dir():
        raise CommandError(f"there is no folder {folder}", f"make it first: `mkdir -p {folder}`")
    wanted = {
        "subscription_id": arguments.subscription,
        "resource_group": arguments.group,
        "workspace_name": arguments.workspace,
    }
    path = folder / CONFIG
    if path.exists() and not arguments.force:
        present = _read(path)
        if present is not None and present | wanted == present:
            print(f"{path} already says workspace {arguments.workspace}.")
            return OK
        named = (
            f"workspace {present['workspace_name']}" if present and "workspace_name" in present else "something else"
        )
        raise CommandError(f"{path} exists and says {named}", "replace it with `lazulite init --force`")
    write(folder, Workspace(arguments.subscription, arguments.group, arguments.workspace))
    print(f"Wrote {path}: workspace {arguments.workspace} in {arguments.group}.")
    print("In Python:  MLClient.from_config(DefaultAzureCredential())")
    return OK


def write(folder: Path, workspace: Workspace) -> Path:
    """Write the file, which names the workspace; returns its path."""
    document = {
        "subscription_id": workspace.subscription,
        "resource_group": workspace.group,
        "workspace_name": workspace.name,
    }
    path = folder / CONFIG
    path.write_text(json.dumps(document, indent=4) + "\n")
    return path


def _read(path: Path) -> dict[str, object] | None:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None
