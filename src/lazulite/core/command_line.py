"""Our own commands as text to paste: which options bring one to a server and a workspace is known here alone."""

from __future__ import annotations

import re
import shlex

#: What commands take where nothing is named: the workspace that is there from the first start.
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
RESOURCE_GROUP = "rg-lazulite"
WORKSPACE = "mlw-default"

_ID = re.compile(
    r"/subscriptions/([\w-]+)/resourceGroups/([\w.()-]+)/providers/[\w.]+/workspaces/([\w-]+)", re.IGNORECASE
)


def options(
    *,
    home: str | None = None,
    workspace: str = WORKSPACE,
    group: str = RESOURCE_GROUP,
    subscription: str = SUBSCRIPTION,
) -> str:
    """What follows a command, with a space before it; empty where it comes to the place by itself."""
    usual = {"home": "", "workspace": WORKSPACE, "group": RESOURCE_GROUP, "subscription": SUBSCRIPTION}
    given = {"home": home or "", "workspace": workspace, "group": group, "subscription": subscription}
    # ARM compares ids without case.
    differing = {name: value for name, value in given.items() if value.lower() != usual[name]}
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in differing.items())


def options_for(workspace_id: str, home: str | None = None) -> str:
    """The options for the ARM id of a workspace; those of the home alone for what is no such id."""
    found = _ID.fullmatch(workspace_id)
    if found is None:
        return options(home=home)
    return options(home=home, subscription=found[1], group=found[2], workspace=found[3])


def is_workspace_id(text: str) -> bool:
    """Whether this is the ARM id of a workspace, written with nothing in it that a page or a shell would obey."""
    return _ID.fullmatch(text) is not None


def sign_in_command(options: str, job: str | None = None) -> str:
    """What signs a browser in: to the page of a job, else to MLflow's pages."""
    return "lazulite ui" + (f" --job {shlex.quote(job)}" if job is not None else "") + options
