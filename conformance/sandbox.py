"""A case's own copy of what it reads: checkouts stay as they are, and a case cannot see what another wrote."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from conformance.manifest import Case, Patch


class MissingFile(Exception):
    """The checkout lacks something the manifest names."""


def copy(case: Case, checkout: Path, scratch: Path) -> Path:
    """Copy the case's folder, and those it reads besides, into `scratch`; returns the copied file to run."""
    source = Path(checkout, case.path) if case.own else required(checkout, case.path)
    for folder in (source.parent, *(required(checkout, also) for also in case.also)):
        target = scratch / folder.relative_to(checkout)
        if folder.is_dir():
            shutil.copytree(folder, target, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder, target)
    if case.own:
        shutil.copy2(Path(__file__).with_name(case.own), scratch / case.path)
    return scratch / source.relative_to(checkout)


def required(checkout: Path, relative: str) -> Path:
    """That path of the checkout. Raises MissingFile."""
    path = checkout / relative
    if not path.exists():
        raise MissingFile(f"{relative} is not in the checkout {checkout}")
    return path


def config(folder: Path, subscription: str, group: str, workspace: str) -> None:
    """Write the config.json that MLClient.from_config finds."""
    document = {"subscription_id": subscription, "resource_group": group, "workspace_name": workspace}
    (folder / "config.json").write_text(json.dumps(document))


def patched(text: str, patches: tuple[Patch, ...], values: Mapping[str, str]) -> str:
    """`text` with every patch made; {account} and {key} in a replacement are filled from `values`."""
    for patch in patches:
        replacement = patch.replacement
        for name, value in values.items():
            replacement = replacement.replace(f"{{{name}}}", value)
        # Backslashes in a replacement are to be taken literally.
        text = re.sub(patch.pattern, replacement.replace("\\", r"\\"), text)
    return text
