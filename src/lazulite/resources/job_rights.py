"""What a job may write: the one rule that ARM, storage, MLflow and run history hold its token to.

Runs: `store.run_reach`. Here: places in storage, and assets. Nothing here is asked of people and service principals.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from enum import Enum

from sqlalchemy.engine import Connection

from lazulite.core import sas
from lazulite.core.clock import utc_now
from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal, job_refusal
from lazulite.model import job_status
from lazulite.resources import places
from lazulite.resources.declaration import Reading, Write
from lazulite.resources.places import Location
from lazulite.store import resources, run_reach, runs
from lazulite.store.artifacts import RUN_CONTAINER, RUN_ORIGIN
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json

#: Where clients put the files of a new asset: a folder named after what it holds, or a container of its own.
_UPLOADS = "LocalUpload"
#: Where the files of models lie that no run made.
_MODELS = "LoggedModels"
_CODE = "code-"
#: In the mark of a signature: the job acts for its submitter.
_FOR = "for"
#: Begins the mark of a signature whose own permissions are all that it is held to while its holder is there.
_ENDS = "ends:"
_DESCRIBING = frozenset({"description", "tags", "stage", "properties"})


class Place(Enum):
    OWN = "own"
    UPLOAD = "upload"  # of a new asset, as long as nobody else's files are there
    OTHER = "other"


def place(
    c: Connection, storage: StorageLocator, job: Principal, account: str, container: str, path: str
) -> tuple[Place, str]:
    """Whose place a path of an account of ours is, from a job's point of view; of an upload, the folder it is in."""
    if not path or job.run is None or job.workspace is None:
        return Place.OTHER, ""
    if _of_own_run(c, storage, job.workspace, job.run, account, container, path):
        return Place.OWN, ""
    if any(_within(out, account, container, path) for out in _outputs(c, storage, job.workspace, job.run)):
        return Place.OWN, ""
    parts = path.split("/")
    if parts[0] in (_UPLOADS, _MODELS) and len(parts) > 2:
        return Place.UPLOAD, "/".join(parts[:2])
    if container.startswith(_CODE) and not _is_share(c, job.workspace, container):
        return Place.UPLOAD, ""
    return Place.OTHER, ""


def check_change(write: Write) -> None:
    """Of an asset that is there a job may change the description, tags and stage. Raises ApiError 403."""
    if write.existing is not None:
        archived = write.archived != write.existing.archived
        check_described(write.principal, write.id, write.existing.properties, write.properties, archived)


def check_described(caller: Principal, id_: str, before: Json, after: Json, archived: bool) -> None:
    """Raises ApiError 403 where a job would change more of something than what describes it."""
    if caller.run is None:
        return
    changed = [n for n in {*before, *after} - _DESCRIBING - {"isArchived"} if before.get(n) != after.get(n)]
    if archived or changed:
        what = "archive or restore" if archived else f"change {', '.join(sorted(changed))} of"
        name = id_.split("/workspaces/", 1)[-1].partition("/")[2]
        raise ApiError(403, "AuthorizationFailed", job_refusal(caller.run, f"{what} '{name}'"), target="properties")


def container_sas(reading: Reading, account: str, key: str, container: str, hours: float) -> str:
    """A SAS that reads and writes a container and ends with the caller; one given to a job does what the job may."""
    start = utc_now()
    expires, given = start + dt.timedelta(hours=hours), holder(reading.principal, reading.services.tenant)
    return sas.delegated_sas(account, key, container, "racwdl", expires, given, start=start)


def holder(caller: Principal, tenant: str, *, ends: bool = False) -> sas.Holder:
    """Whom a signature is made for: it ends with the key of a person, or with the job in whosever name the job asks.

    What a job may do is asked anew at each use, unless with `ends`: then the signature alone says, as of a person's.
    """
    text = mark(caller) if caller.job else caller.key
    if ends or not caller.job:
        return sas.Holder(caller.id, tenant, _ENDS + text, _ENDS)
    return sas.Holder(caller.id, tenant, text)


def only_ends(text: str) -> bool:
    """Whether the mark is of a signature that says by itself what may be done."""
    return text.startswith(_ENDS)


def salt(text: str) -> str:
    """What the key of a signature with this mark, made here, was derived with: people cannot make one that `only_ends`."""
    return _ENDS if only_ends(text) else ""


def mark(job: Principal) -> str:
    """What a signature carries that was made for a job: all that its token claims of the job."""
    head = ";".join((job.birth, _FOR if job.behalf_of else "", job.key if job.stepping else "")).rstrip(";")
    return f"{head}/{job.job}{job.workspace}"


def marked(object_id: str, text: str) -> Principal | None:
    """Whom a signature was made for here; None where it was made by its holder."""
    if only_ends(text) and "/" not in text:
        return Principal(object_id, object_id, "User", key=text.removeprefix(_ENDS))
    text = text.removeprefix(_ENDS)
    head, _, rest = text.partition("/")
    name, slash, workspace = rest.partition("/")
    if not workspace.lower().startswith("subscriptions/"):
        return None
    birth, how, key = (*head.split(";"), "", "")[:3]
    found = Principal(object_id, f"job {name}", "Job", workspace=slash + workspace, birth=birth)
    found = replace(found, stepping=bool(key), key=key)
    return replace(found, behalf_of=name) if how == _FOR else replace(found, run=name)


def _of_own_run(
    c: Connection, storage: StorageLocator, workspace: str, job: str, account: str, container: str, path: str
) -> bool:
    """Whether the path is in the folder of a run that the job may write to."""
    origin, _, rest = path.partition("/")
    folder = rest.partition("/")[0]
    if origin != RUN_ORIGIN or not folder.startswith(RUN_CONTAINER):
        return False
    run = runs.get(c, workspace, folder.removeprefix(RUN_CONTAINER))
    if run is None or not _within(places.artifacts(c, workspace, storage, run.run_id), account, container, path):
        return False
    return run_reach.may_write(c, workspace, run, job)


def _outputs(c: Connection, storage: StorageLocator, workspace: str, job: str) -> list[Location]:
    """The places of a job's declared outputs, which its status says once it is launched."""
    row = resources.get(c, f"{workspace}/jobs/{job}")
    if row is None:
        return []
    found = []
    for output in job_status.read(row.status).outputs.values():
        try:
            found.append(places.locate(c, workspace, storage, output.uri, output.type))
        except ApiError:
            continue  # its datastore is gone
    return found


def _is_share(c: Connection, workspace: str, container: str) -> bool:
    """Whether it is the working directory of the workspace, whose name begins as that of an upload of code."""
    row = resources.get(c, f"{workspace}/datastores/workspaceworkingdirectory")
    return row is None or container == row.properties.get("fileShareName")


def _within(where: Location, account: str, container: str, path: str) -> bool:
    if where.account != account or where.container != container:
        return False
    top = where.path.strip("/")
    return not top or path == top or path.startswith(f"{top}/")
