"""Environments: registered ones, and the curated ones of the catalogue, which exist in every workspace."""

from __future__ import annotations

from lazulite.core import arm_id
from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import validation
from lazulite.environments import catalogue
from lazulite.environments.catalogue import CuratedEnvironment
from lazulite.model import wire
from lazulite.resources import assets
from lazulite.resources.declaration import Reading, ResourceType, Shape, Write
from lazulite.store.resources import Json

_FIXED = ("image", "condaFile", "build", "osType")


def prepare(write: Write) -> None:
    properties = write.properties
    if write.existing is None:
        _check(properties)
        if write.id.rsplit("/", 3)[1].lower().startswith("azureml-"):
            raise validation(
                "Names that begin with 'AzureML-' belong to the curated environments. Choose another name.", "name"
            )
    properties.setdefault("osType", "Linux")
    build = properties.get("build")
    if isinstance(build, dict):
        # Filled before the comparison: clients leave it out each time they send the same environment.
        build["dockerfilePath"] = build.get("dockerfilePath") or "Dockerfile"
    properties["environmentType"] = "UserCreated"
    assets.follow_build(write)
    assets.prepare(write, _FIXED, "Environment")


def _check(properties: Json) -> None:
    image, conda, build = (properties.get(name) for name in ("image", "condaFile", "build"))
    if not image and not build:
        raise validation(
            "An environment needs properties.image (with or without condaFile) or properties.build.", "properties.image"
        )
    if image and build:
        raise validation("An environment has an image or a build context, not both.", "properties.build")
    if conda is not None and not isinstance(conda, str):
        raise validation("condaFile must be the text of a conda YAML file.", "properties.condaFile")
    if build is not None and not (isinstance(build, dict) and isinstance(build.get("contextUri"), str)):
        raise validation("build needs contextUri, the address of the build context.", "properties.build.contextUri")


class Curated:
    """The catalogue's environments as containers and versions."""

    def get(self, reading: Reading, id_: str) -> Json | None:
        parts = arm_id.parse(id_)
        workspace = arm_id.workspace_of(id_)
        if parts.types[-1].lower() == "versions":
            version = parts.names[-1]
            wanted = None if version.lower() in ("latest", "azureml_default") else version
            found = catalogue.lookup(parts.names[-2], wanted)
            return version_document(workspace, found) if found else None
        found = catalogue.lookup(parts.name)
        return container_document(workspace, found) if found else None

    def list(
        self, reading: Reading, parent: str, collection_type: str, archived: bool | None, after: int | None, limit: int
    ) -> list[tuple[Json, int]]:
        """None is ever archived."""
        workspace = arm_id.workspace_of(parent)
        if archived:
            found: list[Json] = []
        elif collection_type.lower().endswith("/versions"):
            one = catalogue.lookup(arm_id.parse(parent).name)
            found = [version_document(workspace, one)] if one else []
        else:
            found = [container_document(workspace, one) for one in catalogue.all()]
        return [(item, number) for number, item in enumerate(found, 1)][after or 0 :][:limit]


def container_document(home: str, found: CuratedEnvironment) -> Json:
    """As in the workspace `home`."""
    return {
        "id": f"{home}/environments/{found.name}",
        "name": found.name,
        "type": f"{PROVIDER}/workspaces/environments",
        "properties": {
            "description": found.description,
            "tags": dict(found.tags),
            "properties": {},
            "isArchived": False,
            "latestVersion": found.latest,
            "nextVersion": str(int(found.latest) + 1),
        },
        "systemData": _SYSTEM,
    }


def version_document(home: str, found: CuratedEnvironment) -> Json:
    """As in the workspace `home`."""
    version = found.latest
    return {
        "id": f"{home}/environments/{found.name}/versions/{version}",
        "name": version,
        "type": f"{PROVIDER}/workspaces/environments/versions",
        "properties": {
            "description": found.description,
            "tags": dict(found.tags),
            "properties": {},
            "isArchived": False,
            "isAnonymous": False,
            "environmentType": "Curated",
            "osType": "Linux",
            "image": found.image,
            "provisioningState": "Succeeded",
        },
        "systemData": _SYSTEM,
    }


_SYSTEM = {
    "createdAt": "2024-01-01T00:00:00.000000Z",
    "createdBy": "Lazulite catalogue",
    "createdByType": "User",
    "lastModifiedAt": "2024-01-01T00:00:00.000000Z",
}


TYPE = ResourceType(
    collection="workspaces/environments",
    operations="EnvironmentVersions",
    wire=wire.Environment,
    shape=Shape.VERSIONED,
    prepare=prepare,
    view=assets.view,
    virtual=Curated(),
)
