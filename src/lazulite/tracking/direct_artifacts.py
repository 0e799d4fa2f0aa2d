"""Large artifacts: addresses under which a client moves parts of a file straight to and from the blob gateway."""

from __future__ import annotations

import base64
import re
import uuid
from urllib.parse import quote

from sqlalchemy.engine import Connection

from lazulite.core import web
from lazulite.store.artifacts import ARTIFACT_DATASTORE, NoSuchArtifact, run_folder
from lazulite.tracking.artifacts import Place, check_path, join, model_of, place_at, settled
from lazulite.tracking.call import Call
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import does_not_exist, error, invalid
from lazulite.tracking.fields import Fields

MOST_PARTS = 50_000  # blocks of a blob
_UPLOAD = re.compile(r"[0-9a-f]{32}")


async def create(call: Call) -> Json:
    """One address for each part. Parts are the blocks of a blob, which appears when the upload is completed."""
    fields = await _body(call)
    count = fields.integer("num_parts")
    if not 1 <= count <= MOST_PARTS:
        raise invalid(f"num_parts must be between 1 and {MOST_PARTS}, and is {count}.")
    place = await _place(call, fields)
    upload_id = uuid.uuid4().hex
    url = await call.context.artifacts.sas_url(call.workspace, place.name, "cw", call.principal)
    return {
        "upload_id": upload_id,
        "credentials": [
            {"url": f"{url}&comp=block&blockid={quote(_block(upload_id, n), safe='')}", "part_number": n, "headers": {}}
            for n in range(1, count + 1)
        ],
    }


async def complete(call: Call) -> Json:
    fields = await _body(call)
    upload_id, place = _upload_id(fields), await _place(call, fields)
    numbers = sorted(part.integer("part_number") for part in fields.objects("parts"))
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        raise invalid("The parts of an upload are numbered from 1 without gaps.")
    try:
        await call.context.artifacts.commit(call.workspace, place.name, [_block(upload_id, n) for n in numbers])
    except NoSuchArtifact:
        raise invalid(f"A part of the upload '{upload_id}' has not arrived.") from None
    return {}


async def abort(call: Call) -> Json:
    """Parts that are never committed are not part of any file; the next upload of the name drops them."""
    fields = await _body(call)
    _upload_id(fields)
    await _place(call, fields)
    return {}


async def presigned(call: Call) -> Json:
    """`mlflow-artifacts/presigned/<path>`: where a file can be read in ranges."""
    path = str(call.request.path_params["artifact_path"])
    place = await settled(call, await call.read(lambda c: place_at(c, call, path)))
    url, size = await _readable(call, place)
    return {"url": url, "headers": {}, "file_size": size}


async def upload_url(call: Call) -> Json:
    """Where one file of a run or of a logged model can be put."""
    fields = call.fields
    run_id, model_id, path = fields.maybe_text("run_id"), fields.maybe_text("model_id"), fields.text("path")
    if bool(run_id) == bool(model_id):
        raise invalid("Exactly one of run_id and model_id must be provided.")
    place = await _of_entity(call, run_id, model_id, path, write=True)
    url = await call.context.artifacts.sas_url(call.workspace, place.name, "cw", call.principal)
    return {"presigned_url": url, "headers": {"x-ms-blob-type": "BlockBlob"}}


async def download_url(call: Call) -> Json:
    url, size = await _readable(
        call, await _of_entity(call, call.fields.text("run_id"), None, call.fields.text("path"), write=False)
    )
    return {"presigned_url": url, "headers": {}, "file_size": size}


async def _of_entity(call: Call, run_id: str | None, model_id: str | None, path: str, *, write: bool) -> Place:
    check_path(path)
    if model_id:
        model = await call.read(lambda c: model_of(c, call, model_id))
        inner = f"{model.experiment_id}/models/{model_id}/artifacts/{path}"
        return await call.read(lambda c: place_at(c, call, inner, write=write))
    assert run_id  # the callers saw to it

    def read(c: Connection) -> Place:
        run = call.run_to_write(c, run_id, lifecycle=None) if write else call.run(c, run_id)
        return Place(ARTIFACT_DATASTORE, join(run_folder(run.run_id), path))

    return await call.read(read)


async def _readable(call: Call, place: Place) -> tuple[str, int]:
    store = call.context.artifacts
    if place.datastore != ARTIFACT_DATASTORE:
        raise error("NOT_IMPLEMENTED", f"Files of the datastore '{place.datastore}' are read through this server only.")
    size = await store.size(call.workspace, place.name)
    if size is None:
        raise does_not_exist(f"There is no artifact '{place.name.rsplit('/', 1)[-1]}'.")
    return await store.sas_url(call.workspace, place.name, "r", call.principal), size


async def _body(call: Call) -> Fields:
    return Fields(await web.json_body(call.request))


async def _place(call: Call, fields: Fields) -> Place:
    folder, name = str(call.request.path_params.get("artifact_path", "")), fields.text("path").rsplit("/", 1)[-1]
    path = join(folder, name) if folder else name
    return await call.read(lambda c: place_at(c, call, path, write=True))


def _upload_id(fields: Fields) -> str:
    found = fields.text("upload_id")
    if not _UPLOAD.fullmatch(found):
        raise invalid(f"'{found}' is no upload.")
    return found


def _block(upload_id: str, number: int) -> str:
    return base64.b64encode(f"{upload_id}-{number:06d}".encode()).decode()
