"""`model-versions/*`."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.model import asset_reference
from lazulite.model.asset_reference import BlobPlace, DatastorePlace, JobOutputPlace, datastore_uri
from lazulite.resources import places, storage_accounts
from lazulite.store import logged_models, resources
from lazulite.store import runs as run_store
from lazulite.store.artifacts import ARTIFACT_DATASTORE, run_folder
from lazulite.tracking import registry
from lazulite.tracking.artifacts import OWN_FOLDER, join
from lazulite.tracking.call import Call
from lazulite.tracking.conditions import next_token, page_limits
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import does_not_exist, invalid
from lazulite.tracking.fields import MAX_MODEL_TAG_VALUE, check_length, check_name
from lazulite.tracking.grammar import Grammar, Order
from lazulite.tracking.matching import PROMPT_TAG, is_asked_for, matches, ordered
from lazulite.tracking.registered_models import stage, tags_of

MOST = 200_000
VERSIONS = Grammar(
    strings=frozenset({"name", "run_id", "source_path", "source", "version", "current_stage", "model_id"}),
    numbers=frozenset({"version_number"}),
    orderable=frozenset({"name", "version_number", "creation_timestamp", "last_updated_timestamp", "timestamp"}),
)
_NEWEST_FIRST = Order("attribute", "last_updated_timestamp", ascending=False)
_PROMPT_SOURCES = ("dummy-source", "prompt-template")
_VERSIONS_TAG = "mlflow.modelVersions"
_RUN_ARTIFACT = re.compile(r"^(?:.*/experiments/[^/]+/runs/|[^/]+/)(?P<run>[^/]+)/artifacts(?:/(?P<path>.*))?$")
_PLUGIN_ARTIFACTS = "azureml://artifacts/"
_LOGGED_MODEL = re.compile(r"models:/(m-[^/]+)/?")


async def create(call: Call) -> Json:
    fields = call.fields
    name, source = fields.text("name"), fields.text("source")
    run_id, model_id = fields.maybe_text("run_id") or None, fields.maybe_text("model_id") or None
    tags = tags_of(fields)
    kept = {registry.SOURCE: source, registry.RUN_LINK: fields.maybe_text("run_link"), registry.MODEL_ID: model_id}

    def write(c: Connection) -> Json:
        model = registry.get(c, call, name)
        logged = _logged_model(c, call, model_id) if model_id else None
        of_source = _LOGGED_MODEL.fullmatch(source)
        made_from = _logged_model(c, call, of_source[1]) if of_source else logged
        made_by = run_id or (made_from.run_id if made_from else None)
        run = run_store.get(c, call.workspace, made_by) if made_by else None
        registry.touch(c, call, model)
        version = str(registry.next_version(model))
        properties = {
            "modelUri": _prompt_uri(call, source, model.name, version)
            if tags.get(PROMPT_TAG, "").lower() == "true"
            else _model_uri(c, call, source, model_id),
            "modelType": "mlflow_model",
            "jobName": run.run_id if run else made_by,
            "tags": tags,
            "properties": {key: value for key, value in kept.items() if value},
            "description": fields.maybe_text("description"),
            "stage": "None",
            "flavors": {},
            "isArchived": False,
            "isAnonymous": False,
        }
        id_ = f"{registry.model_id(call, model.name)}/versions/{version}"
        new = resources.new(id_, registry.VERSION, {"properties": properties})
        stored = resources.insert(c, new, by=call.principal.name)
        if logged is not None:
            _note_version(c, logged, model.name, int(version))
        return _answer(call, model, stored)

    return await call.write(write)


async def get(call: Call) -> Json:
    name, version = _named(call)
    return await call.read(lambda c: _answer(call, *registry.get_version(c, call, name, version)))


async def update(call: Call) -> Json:
    name, version = _named(call)
    description = call.fields.maybe_text("description") or ""

    def write(c: Connection) -> Json:
        model, found = registry.get_version(c, call, name, version)
        return _answer(call, model, registry.write_version(c, call, found, description=description))

    return await call.write(write)


async def delete(call: Call) -> Json:
    call.check_not_a_job("delete models")
    name, version = _named(call)

    def write(c: Connection) -> None:
        model, found = registry.get_version(c, call, name, version)
        kept = {alias: at for alias, at in model.aliases.items() if at != found.name}
        if model.aliases != kept:
            registry.write_aliases(c, call, model, kept)
        registry.keep_number(c, call, registry.get(c, call, name))
        resources.delete(c, found.id)

    await call.write(write)
    return {}


async def transition_stage(call: Call) -> Json:
    name, version = _named(call)
    to = stage(call.fields.text("stage"))
    archive = call.fields.values.get("archive_existing_versions") in (True, "true")
    if archive and to not in ("Staging", "Production"):
        raise invalid(
            f"Model version transition cannot archive existing model versions because '{to}' is not an Active stage. "
            "Valid stages are Staging, Production"
        )

    def write(c: Connection) -> Json:
        model, found = registry.get_version(c, call, name, version)
        for other in model.versions if archive else ():
            if other.id != found.id and other.properties.get("stage") == to:
                registry.write_version(c, call, other, stage="Archived")
        registry.touch(c, call, model)
        return _answer(call, model, registry.write_version(c, call, found, stage=to))

    return await call.write(write)


async def search(call: Call) -> Json:
    fields = call.fields
    comparisons = VERSIONS.parse(fields.maybe_text("filter"))
    orders = VERSIONS.parse_order(fields.texts("order_by")) or [_NEWEST_FIRST]
    limit, offset = page_limits(
        fields.maybe_integer("max_results"), fields.maybe_text("page_token"), default=10_000, most=MOST
    )

    def read(c: Connection) -> list[Json]:
        named = [one.value for one in comparisons if (one.key, one.operator) == ("name", "=")]
        models = [registry.find(c, call, str(named[0]))] if named else registry.all_models(c, call)
        return [
            document
            for model in models
            if model is not None
            for version in reversed(model.versions)
            if not version.archived
            and matches(document := registry.version_document(call, model, version), comparisons)
            and is_asked_for(document, comparisons)
        ]

    found = ordered(await call.read(read), orders)
    document: Json = {"model_versions": found[offset : offset + limit]}
    if len(found) > offset + limit:
        document["next_page_token"] = next_token(offset + limit)
    return document


async def get_download_uri(call: Call) -> Json:
    name, version = _named(call)

    def read(c: Connection) -> Json:
        return {"artifact_uri": registry.download_uri(call, *registry.get_version(c, call, name, version))}

    return await call.read(read)


async def set_tag(call: Call) -> Json:
    key, value = check_name(call.fields.text("key")), call.fields.maybe_text("value") or ""
    check_length("value", MAX_MODEL_TAG_VALUE, value)
    return await _change_tag(call, key, value)


async def delete_tag(call: Call) -> Json:
    return await _change_tag(call, call.fields.text("key"), None)


async def _change_tag(call: Call, key: str, value: str | None) -> Json:
    name, version = _named(call)

    def write(c: Connection) -> None:
        _, found = registry.get_version(c, call, name, version)
        tags = {k: v for k, v in (found.properties.get("tags") or {}).items() if k != key}
        registry.write_version(c, call, found, tags=tags if value is None else {**tags, key: value})

    await call.write(write)
    return {}


def _named(call: Call) -> tuple[str, str]:
    return call.fields.text("name"), call.fields.text("version")


def _answer(call: Call, model: registry.RegisteredModel, version: resources.Resource) -> Json:
    return {"model_version": registry.version_document(call, model, version)}


def _prompt_uri(call: Call, source: str, name: str, version: str) -> str:
    """A prompt is its tags: it has no files, and clients say so. Raises ApiError."""
    if source not in _PROMPT_SOURCES:
        raise invalid(f"Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder.")
    return _in_artifacts(call, f"MLflowPrompts/{name}/{version}")


def _model_uri(c: Connection, call: Call, source: str, model_id: str | None) -> str:
    """The address Azure's clients know the files by. Raises ApiError where a client may not name that place."""
    if match := _LOGGED_MODEL.fullmatch(source):
        model_id = match[1]
    if model_id and source.startswith("models:/m-"):
        return _in_artifacts(call, _logged_model(c, call, model_id).path)
    if match := re.fullmatch(r"models:/([^/]+)/([^/]+)/?", source):
        _, version = registry.get_version(c, call, match[1], match[2])
        return str(version.properties["modelUri"])
    scheme, path = _taken_apart(source)
    if scheme == "mlflow-artifacts" or (scheme == "azureml" and "/runs/" in path):
        return _in_artifacts(call, _folder(c, call, path, source))
    if source.startswith(_PLUGIN_ARTIFACTS):
        return _in_artifacts(call, source.removeprefix(_PLUGIN_ARTIFACTS).strip("/"))
    if len(scheme) < 2 or scheme == "file":  # a letter alone is a drive
        raise _refused(source)
    _check_is_not_anothers(c, call, source)
    return _in_full(c, call, source)


def _taken_apart(source: str) -> tuple[str, str]:
    """(scheme, path) of an address whose names may hold `#`, `?` and `%`, which mean nothing here. Raises ApiError."""
    match = re.match(r"(?:(?P<scheme>[A-Za-z][\w+.-]*):)?(?://[^/]*)?(?P<path>.*)", source, re.DOTALL)
    assert match  # anything does
    path = match["path"].strip("/")
    for spelled in (path, unquote(path)):
        if ".." in spelled.split("/") or "\0" in spelled:
            raise _relative(source)
    return (match["scheme"] or "").lower(), path


def _in_full(c: Connection, call: Call, source: str) -> str:
    """Places in a datastore and outputs of jobs as Azure's clients write them; other addresses stay as they are."""
    try:
        place = asset_reference.place(source)
    except ValueError:
        return source
    match place:
        case DatastorePlace(datastore, path, None):
            return datastore_uri(call.workspace, datastore, path)
        case JobOutputPlace(job, "artifacts" | "default", path):
            return _in_artifacts(call, join(run_folder(job), path))
        case JobOutputPlace():
            try:
                return places.locate(c, call.workspace, call.context.storage, source, target="source").uri
            except ApiError as refused:
                raise (does_not_exist if refused.status == 404 else invalid)(refused.message) from None
    return source


def _check_is_not_anothers(c: Connection, call: Call, source: str) -> None:
    """MLflow's API knows rights in its own workspace alone; Azure's asks for those in others."""
    try:
        place = asset_reference.place(source)
    except ValueError:
        return
    elsewhere = None
    if isinstance(place, DatastorePlace | JobOutputPlace) and place.workspace is not None:
        elsewhere = place.workspace if arm_id.key(place.workspace) != arm_id.key(call.workspace) else None
    elif isinstance(place, BlobPlace):
        workspace = resources.get(c, call.workspace)
        own = str(workspace.properties.get("storageAccount")).rsplit("/", 1)[-1].lower() if workspace else ""
        name = place.account.removesuffix("/_").rsplit("/", 1)[-1].lower()
        known = [row.name.lower() for row in storage_accounts.all_accounts(c)]
        elsewhere = name if name in known and name != own else None
    if elsewhere is not None:
        raise invalid(
            f"Invalid model version source: '{source}' lies outside of this workspace. Register it with "
            "ml_client.models.create_or_update, which asks for the right to what lies elsewhere."
        )


def _folder(c: Connection, call: Call, path: str, source: str) -> str:
    if match := re.fullmatch(r"models/([^/]+)/([^/]+)(?:/(.*))?", path):
        model = registry.find(c, call, match[1])
        version = registry.version_of(model, match[2]) if model else None
        datastore, folder = registry.place_of(version) if version else ("", "")
        if datastore == ARTIFACT_DATASTORE:
            return join(folder, match[3] or "")
    if match := re.fullmatch(r"[^/]+/models/(m-[^/]+)/artifacts", path):
        return _logged_model(c, call, match[1]).path
    if found := _RUN_ARTIFACT.match(path):
        return f"{run_folder(found['run'])}/{found['path'] or ''}".rstrip("/")
    if source.startswith("azureml:"):
        raise _refused(source)
    return join(OWN_FOLDER, "/".join(part for part in path.split("/") if part))


def _in_artifacts(call: Call, folder: str) -> str:
    return datastore_uri(call.workspace, ARTIFACT_DATASTORE, folder)


def _refused(source: str) -> ApiError:
    return invalid(
        f"Invalid model version source: '{source}'. To use a local path as a model version source is not possible "
        "here: its files must lie in a run of this workspace, in a datastore, or at another address that is not a path "
        "of the server's machine."
    )


def _relative(source: str) -> ApiError:
    return invalid(
        f"Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp, "
        "objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references "
        "present. Please provide an absolute path."
    )


def _logged_model(c: Connection, call: Call, model_id: str) -> logged_models.LoggedModel:
    model = logged_models.get(c, call.workspace, model_id)
    if model is None:
        raise does_not_exist(f"Logged model with ID '{model_id}' not found.")
    return model


def _note_version(c: Connection, model: logged_models.LoggedModel, name: str, version: int) -> None:
    """A logged model's tag lists the versions it was registered as: MLflow's clients and pages read it there."""
    known = logged_models.tags_of(c, [model.number]).get(model.number, {}).get(_VERSIONS_TAG)
    versions = [*(json.loads(known) if known else []), {"name": name, "version": version}]
    logged_models.set_tags(c, model, {_VERSIONS_TAG: json.dumps(versions)})
