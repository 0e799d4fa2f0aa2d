"""The assets of registries: the declarations of a workspace's, below a registry.

Rows lie at `{registry id}/{collection}/{name}/versions/{version}`; clients are told `azureml://registries/...`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from lazulite.core import arm_id
from lazulite.core.errors import not_found
from lazulite.environments import catalogue
from lazulite.environments.catalogue import CuratedEnvironment
from lazulite.model import asset_reference
from lazulite.resources import (
    codes,
    components,
    data,
    environments,
    models,
    registries,
    registry_again,
    registry_rules,
    registry_storage,
)
from lazulite.resources.declaration import Action, Answer, Call, Reading, ResourceType, Write
from lazulite.store.resources import Json


def start_pending_upload(call: Call) -> Answer:
    registry, collection, _ = _parts(call.resource.id)
    return Answer(200, registry_storage.pending_upload(call, registry, collection))


def _parts(id_: str) -> tuple[str, str, str]:
    """The registry's id, the collection and the asset's name of a version's or container's id."""
    home = arm_id.asset_home(id_)
    collection, name = id_[len(home) + 1 :].split("/")[:2]
    return home, collection, name


class Curated:
    """The catalogue's environments, in the registry `azureml` under the names they have there."""

    def get(self, reading: Reading, id_: str) -> Json | None:
        home = arm_id.asset_home(id_)
        if arm_id.key(home) != arm_id.key(registries.AZUREML_ID):
            return None
        parts = arm_id.parse(id_)
        if parts.types[-1].lower() == "versions":
            wanted = None if parts.name.lower() in ("latest", "azureml_default") else parts.name
            found = catalogue.lookup(parts.names[-2], wanted)
            return _shown(environments.version_document(home, found)) if found else None
        found = catalogue.lookup(parts.name)
        return _shown(environments.container_document(home, found)) if found else None

    def list(
        self, reading: Reading, parent: str, collection_type: str, archived: bool | None, after: int | None, limit: int
    ) -> list[tuple[Json, int]]:
        """None is ever archived."""
        home = arm_id.asset_home(parent)
        found: list[Json] = []
        if arm_id.key(home) == arm_id.key(registries.AZUREML_ID) and not archived:
            if collection_type.lower().endswith("/versions"):
                one = catalogue.lookup(arm_id.parse(parent).name)
                found = [_shown(environments.version_document(home, one))] if one else []
            else:
                found = [_shown(environments.container_document(home, one)) for one in _listed()]
        return [(item, number) for number, item in enumerate(found, 1)][after or 0 :][:limit]


def _listed() -> list[CuratedEnvironment]:
    listed = [entry.named(entry.name, entry.latest) for entry in catalogue.entries() if entry.listed]
    return sorted(listed, key=lambda entry: entry.name.lower())


def _shown(document: Json) -> Json:
    return {
        **document,
        "id": asset_reference.spelled(document["id"]),
        "type": document["type"].replace("/workspaces/", "/registries/"),
    }


def _of_registry(type_: ResourceType, operations: str, prepare: Callable[[Write], None] | None = None) -> ResourceType:
    collection = type_.collection.replace("workspaces/", "registries/")
    upload = Action("startPendingUpload", start_pending_upload, "create_or_get_start_pending_upload", absent=True)
    return dataclasses.replace(
        type_,
        collection=collection,
        operations=operations,
        prepare=prepare or type_.prepare,
        rights=registries.ASSET_RIGHTS,
        shown_id=asset_reference.spelled,
        hidden=None,
        virtual=Curated() if type_ is environments.TYPE else None,
        actions=(upload,),
        before=registry_again.keep,
    )


ENVIRONMENTS = _of_registry(environments.TYPE, "RegistryEnvironmentVersions", registry_rules.prepare_environment)
DATA = _of_registry(data.TYPE, "RegistryDataVersions")
MODELS = _of_registry(models.TYPE, "RegistryModelVersions")
COMPONENTS = _of_registry(components.TYPE, "RegistryComponentVersions", registry_rules.prepare_component)
CODES = _of_registry(codes.TYPE, "RegistryCodeVersions")
ALL = (ENVIRONMENTS, DATA, MODELS, COMPONENTS, CODES)


def of_collection(name: str) -> ResourceType:
    """The type of a collection (`models`). Raises ApiError 404."""
    for type_ in ALL:
        if type_.collection.rsplit("/", 1)[1] == name.lower():
            return type_
    raise not_found(f"A registry has no collection '{name}'.", "assetId")
