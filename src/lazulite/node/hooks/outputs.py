"""Outputs: a datastore's folder written in place, or a scratch folder brought there when the process has ended."""

import contextlib
import os
import stat
from typing import Any

from .. import files, transfer
from ..failure import RunFailure
from ..run import CAPABILITY, Mount, Run
from . import logs


def prepare(run: Run) -> None:
    for name, asked in run.plan["outputs"].items():
        value = bind(run, name, asked)
        run.values[f"outputs.{name}"] = value
        run.variables[f"AZURE_ML_OUTPUT_{name}"] = value
        if run.is_trial:
            run.variables[f"AZUREML_SWEEP_{name}"] = value


def bind(run: Run, name: str, asked: dict[str, Any]) -> str:
    if asked["mode"] == "direct":
        return str(asked["uri"] or asked["url"] or asked["path"])
    folder = os.path.join(run.capability, name)
    if is_mounted(asked):
        os.makedirs(asked["path"], exist_ok=True)
        run.mounts.append(Mount(files.beneath(asked["path"], asked.get("root")), folder, writable=True))
        return folder
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, file_name(asked)) if asked["type"] == "uri_file" else folder


def is_mounted(asked: dict[str, Any]) -> bool:
    """A single file is never mounted: its folder may hold what the job should not see."""
    return bool(asked["kind"] == "path" and asked["mode"] == "rw_mount" and asked["type"] != "uri_file")


def file_name(asked: dict[str, Any]) -> str:
    address: str = asked["path"] or asked["url"]
    return os.path.basename(address.partition("?")[0].rstrip("/"))


def collect(run: Run) -> None:
    """Bring home what was written, after success and after failure. Raises RunFailure (OutputUploadFailed)."""
    run.status.time("outputs")
    logs.collect(run)
    for name, asked in run.plan["outputs"].items():
        if asked["mode"] == "direct" or is_mounted(asked):
            continue
        try:
            count = store(run, name, asked)
        except (OSError, transfer.TransferError) as error:
            place = asked["uri"] or asked["path"] or asked["url"]
            raise RunFailure(
                "OutputUploadFailed", f"Output '{name}' could not be stored at {place}: {error}"
            ) from error
        run.log(f"output {name}: {count} files stored")


def store(run: Run, name: str, asked: dict[str, Any]) -> int:
    """How many files were stored. The job may have replaced any folder on the way by a link: none is followed."""
    with contextlib.ExitStack() as stack:
        try:
            scratch = stack.enter_context(files.directory(run.folder, *CAPABILITY, name))
        except OSError as error:
            run.log(f"output {name}: its folder is not there any more ({error.strerror})")
            return 0
        return (
            store_file(run, name, asked, scratch)
            if asked["type"] == "uri_file"
            else store_all(run, name, asked, scratch)
        )


def store_all(run: Run, name: str, asked: dict[str, Any], scratch: int) -> int:
    if asked["kind"] == "blob":
        query = run.query(f"outputs.{name}")
        return transfer.upload_folder(scratch, asked["url"], query, run.plan["ca_bundle"], run.tick)
    os.makedirs(asked["path"], exist_ok=True)
    root = files.beneath(asked["path"], asked.get("root"))
    count = 0
    for relative, file in files.opened(scratch):
        target = os.path.join(root, relative)
        files.beneath(os.path.dirname(target), root)
        files.store(file, target)
        count += 1
        run.tick()
    return count


def store_file(run: Run, name: str, asked: dict[str, Any], scratch: int) -> int:
    try:
        file = os.open(file_name(asked), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=scratch)
    except OSError:
        return 0
    try:
        check_is_file(name, file)
        if asked["kind"] == "blob":
            transfer.upload(file, asked["url"], run.query(f"outputs.{name}"), run.plan["ca_bundle"], run.tick)
        else:
            files.beneath(os.path.dirname(asked["path"]), asked.get("root"))
            files.store(file, asked["path"])
    finally:
        os.close(file)
    return 1


def check_is_file(name: str, file: int) -> None:
    """Raises RunFailure (OutputNotAFile) for a folder, a pipe or a device."""
    mode = os.fstat(file).st_mode
    if not stat.S_ISREG(mode):
        made = "a folder" if stat.S_ISDIR(mode) else "something else than a file"
        raise RunFailure(
            "UserError/OutputNotAFile",
            f"Output '{name}' is a uri_file, and the command made {made} there: write one file, or have a uri_folder.",
        )
