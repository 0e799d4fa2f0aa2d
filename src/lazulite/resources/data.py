"""Data assets: a file, a folder or an MLTable somewhere."""

from __future__ import annotations

from lazulite.core.errors import nearest, validation
from lazulite.model import wire
from lazulite.resources import assets
from lazulite.resources.declaration import ResourceType, Shape, Write

KINDS = ("uri_file", "uri_folder", "mltable")


def prepare(write: Write) -> None:
    kind = write.properties.get("dataType")
    if write.existing is not None and kind is None:
        kind = write.existing.properties["dataType"]
        write.properties["dataType"] = kind
    if kind not in KINDS:
        raise validation(f"dataType is '{kind}'.{nearest(str(kind), KINDS)}", "properties.dataType")
    if write.existing is None and not isinstance(write.properties.get("dataUri"), str):
        raise validation("A data asset needs properties.dataUri, the address of its data.", "properties.dataUri")
    assets.follow(write, "dataUri")
    assets.prepare(write, ("dataUri", "dataType"), "Data asset")


TYPE = ResourceType(
    collection="workspaces/data",
    operations="DataVersions",
    wire=wire.Data,
    shape=Shape.VERSIONED,
    prepare=prepare,
    view=assets.view,
)
