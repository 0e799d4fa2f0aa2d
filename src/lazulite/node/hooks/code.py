"""The code snapshot: copied into the working directory, where the job may write, and checked against its hash."""

import os

from .. import content_hash, files, transfer
from ..failure import RunFailure
from ..run import Run


def prepare(run: Run) -> None:
    """Raises RunFailure (CodeNotFound, CodeHashMismatch)."""
    code = run.plan["code"]
    if code is None:
        return
    run.status.time("code")
    if code["path"]:
        if not os.path.isdir(code["path"]):
            raise RunFailure("CodeNotFound", "The job's code snapshot is not in the store any more.")
        try:
            source = files.beneath(code["path"], code.get("root"))
        except PermissionError as error:
            raise RunFailure("CodeNotFound", f"The job's code snapshot cannot be read: {error}.") from error
        count = files.copy_tree(source, run.workdir, lambda _: run.tick())
    else:
        source = os.path.realpath(run.path("code"))
        transfer.download_folder(code["url"], run.query("code"), source, run.plan["ca_bundle"], run.tick)
        count = files.copy_tree(source, run.workdir, lambda _: run.tick())
    run.log(f"code: {count} files")
    check(source, code["hash"])


def check(folder: str, expected: str | None) -> None:
    if not expected:
        return
    found = content_hash.of_folder(folder)
    if found != expected:
        raise RunFailure(
            "CodeHashMismatch",
            f"The code snapshot was changed after its upload: its content hash is {found}, and the code asset names "
            f"{expected}. Upload the code again as a new version.",
        )
