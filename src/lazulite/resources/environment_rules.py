"""What an environment asks of the machine: its build context as it lies, and whether jobs can have it here at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lazulite.core import arm_id
from lazulite.core.errors import ApiError
from lazulite.core.paths import READ, UnsafePath, open_beneath, regular
from lazulite.environments import dockerfile, images
from lazulite.environments.catalogue import CuratedEnvironment
from lazulite.environments.spec import BuildContext, Unresolvable
from lazulite.resources import places
from lazulite.resources.declaration import Write
from lazulite.resources.places import Location
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Resource

SETTING = 'runtime = "container"'


def check_here(write: Write, environment: Resource | CuratedEnvironment, target: str) -> None:
    """Refuse an environment that is more than its Python packages, where no container engine is to run it.

    Raises ApiError 400 naming the line of the Dockerfile, or the image.
    """
    if write.services.in_containers or isinstance(environment, CuratedEnvironment):
        return
    properties, storage = environment.properties, write.services.storage
    build = properties.get("build") or {}
    try:
        if build:
            home = arm_id.asset_home(environment.id)
            where = places.locate(write.connection, home, storage, str(build.get("contextUri")), target=target)
            image = dockerfile.parse(context(build, where, storage)).base
        else:
            image = None if properties.get("condaFile") else properties.get("image")
        images.packages(image or "")
    except Unresolvable as error:
        name = environment.id.rsplit("/", 3)[1]
        hint = "" if SETTING in str(error) else f" Or let the image itself run: {SETTING} in settings.toml."
        message = f"The environment '{name}:{environment.name}' cannot be had here. {error}{hint}"
        raise ApiError(400, "EnvironmentUnresolvable", message, target=target) from None


def context(build: Mapping[str, Any], where: Location | None, storage: StorageLocator) -> BuildContext:
    """The build context at `where`, with its Dockerfile's text. Raises Unresolvable."""
    folder = None
    if where is not None and where.account is not None and where.container is not None:
        folder = storage.local_path(where.account, where.container, where.path)
    if folder is None:
        uri = build.get("contextUri")
        raise Unresolvable(f"The build context '{uri}' does not lie in a datastore of this machine: upload it again.")
    name = str(build.get("dockerfilePath") or "Dockerfile").removeprefix("./")
    try:
        with os.fdopen(regular(open_beneath(folder, name, READ)), encoding="utf-8") as file:
            return BuildContext(dockerfile=file.read(), folder=str(folder), path=name)
    except (OSError, UnsafePath, UnicodeDecodeError) as error:
        raise Unresolvable(f"The build context has no readable Dockerfile '{name}': {error}") from error
