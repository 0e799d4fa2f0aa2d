"""Inputs: literals into the command; files mounted, linked, copied or fetched where Azure puts them."""

import os
from typing import Any

from .. import files, isolation, transfer
from ..copying import Copying
from ..failure import RunFailure
from ..run import Mount, Run

MIRROR = (
    "On a machine without a network, map its address to a local folder, in the server's settings.toml: [url_mirror]"
)


def prepare(run: Run) -> None:
    """Raises RunFailure (UserError/InputNotFound, InputDownloadFailed)."""
    run.status.time("inputs")
    for name, given in run.plan["inputs"].items():
        run.tick()
        value = bind(run, name, given)
        run.values[f"inputs.{name}"] = value
        run.variables[f"AZURE_ML_INPUT_{name}"] = value
        if run.is_trial:
            run.variables[f"AZUREML_SWEEP_{name}"] = value


def bind(run: Run, name: str, given: dict[str, Any]) -> str:
    """What the input stands for in the command: its text, its address, or a path."""
    if given["kind"] == "literal":
        return str(given["value"] if given["value"] is not None else "")
    if given["mode"] == "direct":
        return str(given["uri"] or given["url"] or given["path"])
    folder = os.path.join(run.capability, f"INPUT_{name}")
    if given["kind"] == "path":
        return from_path(run, name, given, folder)
    return from_address(run, name, given, folder)


def from_path(run: Run, name: str, given: dict[str, Any], folder: str) -> str:
    try:
        source = files.beneath(given["path"], given.get("root"))
    except PermissionError as error:
        raise missing(name, given, str(error)) from error
    if not os.path.exists(source):
        raise missing(name, given, "there is nothing at that path")
    target = folder
    if os.path.isfile(source):
        os.makedirs(folder, exist_ok=True)
        target = os.path.join(folder, os.path.basename(given["path"]))
    if given["mode"] in ("download", "eval_download"):
        Copying(run, f"input {name}").copy(source, target)
    elif given["mode"] != "rw_mount" and isolation.needs_copies(run):
        Copying(run, f"input {name}", isolation.WHY_COPIED).copy(source, target)
    else:
        run.mounts.append(Mount(source, target, writable=given["mode"] == "rw_mount"))
    return target


def from_address(run: Run, name: str, given: dict[str, Any], folder: str) -> str:
    """Fetched whole: there is no mount over the network here, and the system log says so."""
    query = run.query(f"inputs.{name}")
    run.activity(f"downloading input {name} from {shown(given)}")
    target = os.path.join(folder, os.path.basename(given["url"].partition("?")[0].rstrip("/")) or "data")
    as_file = given["type"] == "uri_file" or given["kind"] == "http"
    try:
        if as_file:
            size = transfer.download(given["url"], query, target, run.plan["ca_bundle"], run.tick)
            run.log(f"input {name}: {size} bytes")
            return target if given["type"] == "uri_file" else folder
        count = transfer.download_folder(given["url"], query, folder, run.plan["ca_bundle"], run.tick)
        if not count:
            transfer.download(given["url"], query, target, run.plan["ca_bundle"], run.tick)
            return target
    except transfer.TransferError as error:
        if error.status in (404, 410) or (error.status == 0 and "not the address" in str(error)):
            raise missing(name, given, str(error)) from error
        message = f"Input '{name}' could not be fetched from {shown(given)}: {error}. {mirror(given)}"
        raise RunFailure("InputDownloadFailed", message) from error
    run.log(f"input {name}: {count} files")
    return folder


def missing(name: str, given: dict[str, Any], why: str) -> RunFailure:
    return RunFailure("UserError/InputNotFound", f"Input '{name}' was not found at {shown(given)}: {why}.")


def mirror(given: dict[str, Any]) -> str:
    """What to write into the settings so that the folder of this input is found here."""
    folder = shown(given).rpartition("/")[0]
    return f'{MIRROR} "{folder}" = "/a/folder".'


def shown(given: dict[str, Any]) -> str:
    """The address as its author knows it, without a query."""
    return str(given["uri"] or (given["url"] or "").partition("?")[0] or given["path"])
