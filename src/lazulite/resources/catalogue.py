"""The explicit list of resource types: adding one is its file and one line here."""

from __future__ import annotations

from lazulite.resources import (
    codes,
    components,
    computes,
    data,
    datastores,
    environments,
    jobs,
    models,
    registries,
    registry_assets,
    workspaces,
)
from lazulite.resources.declaration import ResourceType

ALL: tuple[ResourceType, ...] = (
    workspaces.TYPE,
    computes.TYPE,
    datastores.TYPE,
    environments.TYPE,
    data.TYPE,
    models.TYPE,
    components.TYPE,
    codes.TYPE,
    jobs.TYPE,
    registries.TYPE,
    *registry_assets.ALL,
)
