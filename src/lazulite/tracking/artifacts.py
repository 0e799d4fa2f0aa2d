"""Artifacts: proxied to the workspace's storage, and listed by run. Nothing here is a path of this machine."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import PureWindowsPath
from urllib.parse import quote, unquote

from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lazulite.core.errors import ApiError
from lazulite.store import logged_models, runs
from lazulite.store.artifacts import ARTIFACT_DATASTORE, Entry, NoSuchArtifact, run_folder
from lazulite.tracking import registry, traces
from lazulite.tracking.call import Call
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import does_not_exist, invalid
from lazulite.tracking.fields import missing

#: The folder of what belongs to no run and no model, in the artifact container.
OWN_FOLDER = "MLflowArtifacts"


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder: `name` in a datastore. `version` is where the files of the model version that was named lie."""

    datastore: str
    name: str
    version: str = ""


async def list_of_run(call: Call) -> Json:
    """`artifacts/list`: one level below `path` of a run, with paths from the run's root."""
    run_id, path = call.fields.run_id(), call.fields.maybe_text("path") or ""
    check_path(path)
    run = await call.read(lambda c: call.run(c, run_id))
    root = run_folder(run.run_id)
    files = [
        {**_file(entry), "path": entry.name.removeprefix(f"{root}/")}
        for entry in await _list(call, Place(ARTIFACT_DATASTORE, join(root, path)))
    ]
    return {"root_uri": call.run_artifact_uri(run), "files": files}


async def list_of_model(call: Call) -> Json:
    """`logged-models/{id}/artifacts/directories`, the same for a logged model."""
    path = call.fields.maybe_text("artifact_directory_path") or ""
    check_path(path)
    model_id = str(call.request.path_params["model_id"])

    def read(c: Connection) -> logged_models.LoggedModel:
        return model_of(c, call, model_id)

    model = await call.read(read)
    files = [
        {**_file(entry), "path": entry.name.removeprefix(f"{model.path}/")}
        for entry in await _list(call, Place(ARTIFACT_DATASTORE, join(model.path, path)))
    ]
    return {"root_uri": call.artifact_uri(model.experiment_id, model.path), "files": files}


async def list_proxied(call: Call) -> Json:
    """`mlflow-artifacts/artifacts?path=`: one level, with the last part of each name."""
    path = call.request.query_params.get("path", "")
    place = await call.read(lambda c: place_at(c, call, path))
    return {"files": [{**_file(entry), "path": entry.name.rsplit("/", 1)[-1]} for entry in await _list(call, place)]}


async def download(call: Call) -> Response:
    path = _proxied_path(call)
    return await _send(call, await call.read(lambda c: place_at(c, call, path)))


async def get_artifact(call: Call) -> Response:
    """`get-artifact?run_uuid=&path=`: what MLflow's pages and oldest clients download with."""
    query = call.request.query_params
    run_id = query.get("run_uuid") or query.get("run_id")
    if not run_id:
        raise missing("run_uuid")
    path = _asked_path(call, "path")
    run = await call.read(lambda c: call.run(c, run_id))
    return await _send(call, Place(ARTIFACT_DATASTORE, join(run_folder(run.run_id), path)))


async def get_artifact_of_model(call: Call) -> Response:
    """`logged-models/{id}/artifacts/files?artifact_file_path=`, the same for a logged model."""
    path = _asked_path(call, "artifact_file_path")
    model_id = str(call.request.path_params["model_id"])
    model = await call.read(lambda c: model_of(c, call, model_id))
    return await _send(call, Place(ARTIFACT_DATASTORE, join(model.path, path)))


async def get_artifact_of_version(call: Call) -> Response:
    """`model-versions/get-artifact?name=&version=&path=`, the same for a version of a registered model."""
    query, path = call.request.query_params, _asked_path(call, "path")
    name, version = query.get("name"), query.get("version")
    if not name or not version:
        raise missing("version" if name else "name")

    def read(c: Connection) -> Place:
        _, found = registry.get_version(c, call, name, version)
        datastore, folder = registry.place_of(found)
        return Place(datastore, join(folder, path), folder)

    return await _send(call, await call.read(read))


async def upload_to_run(call: Call) -> Json:
    """`upload-artifact?run_uuid=&path=`: a small file, as MLflow's pages send it."""
    query = call.request.query_params
    run_id, path = query.get("run_uuid"), query.get("path")
    if not run_id:
        raise invalid("Request must specify run_uuid.")
    if not path:
        raise invalid("Request must specify path.")
    check_path(path)
    data = await call.request.body()
    if not data:
        raise invalid("Request must specify data.")
    run = await call.read(lambda c: call.run_to_write(c, run_id, lifecycle=None))
    await call.context.artifacts.write(call.workspace, join(run_folder(run.run_id), path), _once(data))
    return {}


async def upload(call: Call) -> Json:
    path = _proxied_path(call)
    place = await call.read(lambda c: place_at(c, call, path, write=True))
    await call.context.artifacts.write(call.workspace, place.name, _body(call.request))
    return {}


async def delete(call: Call) -> Json:
    """A file, or a folder with all that is below it; nothing where there is nothing, as MLflow's server."""
    path = _proxied_path(call)
    place = await call.read(lambda c: place_at(c, call, path, write=True))
    store = call.context.artifacts
    below = await store.list(call.workspace, place.name, recursive=True)
    for name in [entry.name for entry in below] or [place.name]:
        try:
            await store.delete(call.workspace, name)
        except NoSuchArtifact:
            continue
    return {}


async def _send(call: Call, place: Place) -> Response:
    place = await settled(call, place)
    try:
        content = await call.context.artifacts.read(call.workspace, place.name, datastore=place.datastore)
    except NoSuchArtifact:
        raise does_not_exist(f"There is no artifact '{place.name}'.") from None
    name = place.name.rsplit("/", 1)[-1]
    headers = {
        "Content-Length": str(content.size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "X-Content-Type-Options": "nosniff",
    }
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return StreamingResponse(content.chunks, headers=headers, media_type=kind)


async def _list(call: Call, place: Place) -> list[Entry]:
    found = await call.context.artifacts.list(call.workspace, place.name, datastore=place.datastore)
    if not found and place.name == place.version:
        size = await call.context.artifacts.size(call.workspace, place.name, datastore=place.datastore)
        found = [] if size is None else [Entry(place.name.replace("#", "_"), size)]
    return sorted(found, key=lambda entry: entry.name)


async def settled(call: Call, place: Place) -> Place:
    """The place itself; of a model version that is one file, listed as a folder with that file in it, the file."""
    file = place.version.rsplit("/", 1)[-1]
    if not place.version or place.name not in {f"{place.version}/{name}" for name in spellings(file)}:
        return place
    size = await call.context.artifacts.size(call.workspace, place.version, datastore=place.datastore)
    return place if size is None else Place(place.datastore, place.version)


def spellings(name: str) -> set[str]:
    """The names by which MLflow's clients ask for a file: they take no `#`, decode `%20`, and a `?` ends the address."""
    plain = name.replace("#", "_")
    return {name, plain, unquote(plain), plain.partition("?")[0], unquote(plain).partition("?")[0]}


def place_at(c: Connection, call: Call, path: str, *, write: bool = False) -> Place:
    """What a path of the artifact proxy stands for. Raises ApiError 400, 403 and 404.

    `<experiment>/<run>/artifacts/...`, `<experiment>/models/<model id>/artifacts/...` and, to read,
    `models/<name>/<version>/...`; any other is a folder of its own, for experiments with an artifact location.
    """
    path = path.strip("/")
    check_path(path)
    match path.split("/"):
        case ["models", name, version, *rest] if not write:
            _, found = registry.get_version(c, call, name, version)
            datastore, folder = registry.place_of(found)
            return Place(datastore, join(folder, "/".join(rest)), folder)
        case [_, "models", model_id, "artifacts", *rest]:
            model = model_of(c, call, model_id)
            if write:
                check_model(c, call, model)
            return Place(ARTIFACT_DATASTORE, join(model.path, "/".join(rest)))
        case [experiment_id, "traces", trace_id, "artifacts", *rest]:
            if write:
                traces.check_reach_of(c, call, trace_id)
            return Place(ARTIFACT_DATASTORE, join(traces.folder(experiment_id, trace_id), "/".join(rest)))
        case [_, run_id, "artifacts", *rest]:
            run = call.run_to_write(c, run_id, lifecycle=None) if write else call.run(c, run_id)
            return Place(ARTIFACT_DATASTORE, join(run_folder(run.run_id), "/".join(rest)))
    if write:
        call.check_not_a_job("write artifacts outside a run")
    return Place(ARTIFACT_DATASTORE, join(OWN_FOLDER, path))


def model_of(c: Connection, call: Call, model_id: str) -> logged_models.LoggedModel:
    model = logged_models.get(c, call.workspace, model_id)
    if model is None:
        raise does_not_exist(f"Logged model with ID '{model_id}' not found.")
    return model


def check_model(c: Connection, call: Call, model: logged_models.LoggedModel) -> None:
    """A model belongs to the run that made it: who may write to the run may write to the model. Raises ApiError 403."""
    run = runs.get(c, call.workspace, model.run_id) if model.run_id else None
    if run is not None:
        call.check_reach(c, run)
    else:
        call.check_not_a_job("change a model that no run made")


def _proxied_path(call: Call) -> str:
    path = str(call.request.path_params.get("artifact_path", ""))
    if not path.strip("/"):
        raise _bad_path(path, "it must name a file or a folder")
    return path


def _asked_path(call: Call, name: str) -> str:
    path = call.request.query_params.get(name)
    if not path:
        raise missing(name)
    check_path(path)
    return path


def check_path(path: str) -> None:
    """Raises ApiError 400 for a path that could leave its folder, here or on a client's machine.

    A backslash is a letter of a name, as for blobs, unless it would lead elsewhere on Windows.
    """
    if path.startswith(("/", "\\")) or PureWindowsPath(path).is_absolute():
        raise _bad_path(path, "it must not begin at a root")
    if "\0" in path:
        raise _bad_path(path, "it must not hold a NUL character")
    if path and "" in path.strip("/").split("/"):
        raise _bad_path(path, "no name in it may be empty")
    if any(name in (".", "..") for name in re.split(r"[/\\]", path)):
        raise _bad_path(path, "no name in it may be '.' or '..'")


def _bad_path(path: str, rule: str) -> ApiError:
    return invalid(f"Invalid path {path!r}: {rule}.")


def join(folder: str, path: str) -> str:
    return f"{folder}/{path.strip('/')}" if path.strip("/") else folder


def _file(entry: Entry) -> Json:
    if entry.size is None:
        return {"path": entry.name, "is_dir": True}
    return {"path": entry.name, "is_dir": False, "file_size": entry.size}


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _body(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk
