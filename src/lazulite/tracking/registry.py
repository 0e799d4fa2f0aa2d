"""The model registry's nouns: a registered model and its versions ARE the model assets of `resources`.

A registered model is `<workspace>/models/<name>`, a version `<workspace>/models/<name>/versions/<version>`. A model
whose versions came by another way than this API has no row of its own until something is written to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.clock import parse_iso
from lazulite.core.errors import ApiError
from lazulite.core.numbers import whole_number
from lazulite.model import asset_reference
from lazulite.model.asset_reference import DatastorePlace, JobOutputPlace
from lazulite.store import resources
from lazulite.store.artifacts import ARTIFACT_DATASTORE, run_folder
from lazulite.store.resources import Resource
from lazulite.store.tables import resources as table
from lazulite.tracking.call import Call
from lazulite.tracking.documents import Json, pairs
from lazulite.tracking.errors import does_not_exist, invalid

CONTAINER = "microsoft.machinelearningservices/workspaces/models"
VERSION = "microsoft.machinelearningservices/workspaces/models/versions"
STAGES = ("None", "Staging", "Production", "Archived")
_LAST = "lastVersion"
#: Where a version keeps what only MLflow has a word for, among its properties.
SOURCE, RUN_LINK, MODEL_ID = "mlflow.source", "mlflow.runLink", "mlflow.modelId"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """`container` is None where only versions have been written. Versions are in the order they were made."""

    name: str
    container: Resource | None
    versions: Sequence[Resource]

    @property
    def aliases(self) -> dict[str, str]:
        return dict(self.container.status.get("aliases") or {}) if self.container else {}


def model_id(call: Call, name: str) -> str:
    """The ARM id of a registered model. Raises ApiError where the name could not be part of one."""
    if not name or "/" in name or ":" in name:
        raise invalid(f"Invalid model name: '{name}'. A name must not be empty and cannot contain ':' or '/'.")
    return f"{call.workspace}/models/{name}"


def find(c: Connection, call: Call, name: str) -> RegisteredModel | None:
    id_ = model_id(call, name)
    container = resources.get(c, id_)
    versions = resources.children(c, id_, VERSION)
    if container is None and not versions:
        return None
    own_name = container.name if container else versions[0].id.rsplit("/", 3)[1]
    return RegisteredModel(own_name, container, versions)


def get(c: Connection, call: Call, name: str) -> RegisteredModel:
    """Raises ApiError 404."""
    found = find(c, call, name)
    if found is None:
        raise does_not_exist(f"Registered Model with name={name} not found")
    return found


def get_version(c: Connection, call: Call, name: str, version: str) -> tuple[RegisteredModel, Resource]:
    """Raises ApiError 404, and 400 where no version could have that name in MLflow."""
    model = get(c, call, name)
    if found := version_of(model, version):
        return model, found
    if whole_number(version) is None:
        raise invalid(f"Parameter 'version' must be an integer, got '{version[:100]}'.")
    raise does_not_exist(f"Model Version (name={name}, version={version}) not found")


def version_of(model: RegisteredModel, version: str) -> Resource | None:
    return next((found for found in model.versions if found.name.lower() == version.lower()), None)


def all_models(c: Connection, call: Call) -> list[RegisteredModel]:
    """Every registered model of the workspace that is not archived or anonymous, by name."""
    containers = {r.name.lower(): r for r in resources.children(c, call.workspace, CONTAINER, listed=True)}
    versions: dict[str, list[Resource]] = {key: [] for key in containers}
    for version in resources.under(c, call.workspace, VERSION):
        if not version.properties.get("isAnonymous"):
            versions.setdefault(version.id.rsplit("/", 3)[1].lower(), []).append(version)
    models = []
    for key, found in sorted(versions.items()):
        container = containers.get(key)
        if container is None or not container.archived:
            name = container.name if container else found[0].id.rsplit("/", 3)[1]
            models.append(RegisteredModel(name, container, found))
    return models


def names(c: Connection, call: Call, *, untagged: str) -> list[str] | None:
    """The names of `all_models` that have no tag `untagged`, in order, without reading the models.

    None where a model has versions alone, or that tag: then there is no telling without reading them.
    """
    parent = arm_id.key(call.workspace)
    query = sa.select(table.c.key, table.c.name, table.c.archived, table.c.label, table.c.spec)
    rows = c.execute(query.where(table.c.parent == parent, table.c.type == CONTAINER)).all()
    of_versions = (
        sa.select(table.c.parent).distinct().where(table.c.type == VERSION, resources.below(table.c.key, parent))
    )
    if not {row.key for row in rows}.issuperset(c.scalars(of_versions)) or any(
        untagged.encode() in r.spec for r in rows
    ):
        return None
    return sorted(row.name for row in rows if not row.archived and row.label != resources.ANONYMOUS)


def load(c: Connection, call: Call, some: Sequence[str]) -> list[RegisteredModel]:
    """These models, which have rows of their own, with the versions that are not anonymous; in the order of `some`."""
    keys = [arm_id.key(f"{call.workspace}/models/{name}") for name in some]
    versions: dict[str, list[Resource]] = {key: [] for key in keys}
    for version in resources.children_of(c, keys, VERSION):
        if not version.properties.get("isAnonymous"):
            versions[version.parent].append(version)
    containers = {row.key: row for row in resources.get_many(c, keys)}
    return [RegisteredModel(containers[key].name, containers[key], versions[key]) for key in keys]


def write_container(c: Connection, call: Call, model: RegisteredModel, **properties: Any) -> Resource:
    """Change properties of a registered model, giving it a row where it has none."""
    by = call.principal.name
    if model.container is None:
        return resources.insert(c, new_container(call, model.name, **properties), by=by)
    spec = {**model.container.spec, "properties": {**model.container.properties, **properties}}
    return resources.update(c, model.container.with_(spec=spec), by=by)


def touch(c: Connection, call: Call, model: RegisteredModel) -> None:
    """Say that the model changed: one of its versions came, moved to another stage or went."""
    write_container(c, call, model)


def next_version(model: RegisteredModel) -> int:
    """The number of the next version: one that none has had, not even one that was deleted."""
    numbers = [whole_number(version.name) or 0 for version in model.versions]
    return max([*numbers, int(model.container.status.get(_LAST, 0)) if model.container else 0]) + 1


def keep_number(c: Connection, call: Call, model: RegisteredModel) -> None:
    """Have `next_version` go on after the versions there are now, when some of them are deleted."""
    container = write_container(c, call, model)
    resources.update(c, container.with_(status={**container.status, _LAST: next_version(model) - 1}))


def write_aliases(c: Connection, call: Call, model: RegisteredModel, aliases: dict[str, str]) -> None:
    container = model.container or write_container(c, call, model)
    resources.update(c, container.with_(status={**container.status, "aliases": aliases}))


def write_version(c: Connection, call: Call, version: Resource, **properties: Any) -> Resource:
    spec = {**version.spec, "properties": {**version.properties, **properties}}
    return resources.update(c, version.with_(spec=spec), by=call.principal.name)


def new_container(call: Call, name: str, **properties: Any) -> Resource:
    spec = {"properties": {"tags": {}, "description": None, "isArchived": False, **properties}}
    return resources.new(model_id(call, name), CONTAINER, spec)


def model_document(call: Call, model: RegisteredModel) -> Json:
    container, live = model.container, [v for v in model.versions if not v.archived]
    properties = container.properties if container else {}
    first = container or model.versions[0]
    last = max(milliseconds(text) for text in (first.modified_at, *(v.created_at for v in model.versions)))
    document: Json = {
        "name": model.name,
        "creation_timestamp": milliseconds(first.created_at),
        "last_updated_timestamp": last,
        "user_id": first.created_by,
        "tags": pairs(properties.get("tags") or {}),
        "aliases": [{"alias": alias, "version": version} for alias, version in model.aliases.items()],
        "latest_versions": [version_document(call, model, v) for v in latest_by_stage(live)],
        "description": properties.get("description") or "",
    }
    return document


def version_document(call: Call, model: RegisteredModel, version: Resource) -> Json:
    properties = version.properties
    kept = properties.get("properties") or {}
    document: Json = {
        "name": model.name,
        "version": version.name,
        "creation_timestamp": milliseconds(version.created_at),
        "last_updated_timestamp": milliseconds(version.modified_at),
        "user_id": version.created_by,
        "current_stage": properties.get("stage") or "None",
        "source": kept.get(SOURCE) or download_uri(call, model, version),
        "status": "READY",
        "tags": pairs({k: str(v) for k, v in (properties.get("tags") or {}).items()}),
        "aliases": [alias for alias, at in model.aliases.items() if at == version.name],
        "description": properties.get("description") or "",
    }
    for name, value in (
        ("run_id", properties.get("jobName")),
        ("run_link", kept.get(RUN_LINK)),
        ("model_id", kept.get(MODEL_ID)),
    ):
        if value:
            document[name] = value
    return document


def latest_by_stage(versions: Iterable[Resource], stages: Sequence[str] = ()) -> list[Resource]:
    """The newest version of each stage (of those asked for)."""
    newest = {v.properties.get("stage") or "None": v for v in versions}
    return [newest[stage] for stage in (stages or STAGES) if stage in newest]


def download_uri(call: Call, model: RegisteredModel, version: Resource) -> str:
    """Where a client finds the files of a version, in whatever datastore they lie, or at an address elsewhere."""
    try:
        datastore, path = place_of(version)
    except ApiError:
        return str(version.properties.get("modelUri"))
    if not call.surface.plugin:
        return f"mlflow-artifacts:/models/{model.name}/{version.name}"
    if datastore == ARTIFACT_DATASTORE and path.startswith(run_folder("")):
        # The plugin's address names an experiment, which the answer does not depend on.
        return call.artifact_uri("0", path)
    return str(version.properties.get("modelUri"))


def place_of(version: Resource) -> tuple[str, str]:
    """The datastore and the folder of a version's files. Raises ApiError where they lie in neither kind we read."""
    uri = str(version.properties.get("modelUri"))
    try:
        place = asset_reference.place(uri)
    except ValueError as error:
        raise invalid(str(error)) from None
    if isinstance(place, DatastorePlace):
        return place.datastore, place.path.strip("/")
    if isinstance(place, JobOutputPlace) and place.output in ("artifacts", "default"):
        return ARTIFACT_DATASTORE, f"{run_folder(place.job)}/{place.path.strip('/')}"
    raise invalid(f"The files of this model version lie at '{uri}', which is not in a datastore of this workspace.")


def milliseconds(text: str) -> int:
    return int(parse_iso(text).timestamp() * 1000)
