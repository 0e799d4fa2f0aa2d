"""What runs image environments, as processes or in containers: asked of the agent once, at start."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from lazulite.model.run_plan import ContainerEngine
from lazulite.server.isolation import ask_agent
from lazulite.server.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Runtime:
    """`kind` is `process` or `container`; `detail` says by what, for people. `engine` is set for containers."""

    kind: str
    detail: str
    engine: ContainerEngine | None = None


async def probe(settings: Settings) -> Runtime:
    """Have the agent run a container, if the settings ask for containers. Raises SettingsError where none can be."""
    if settings.runtime == "process":
        return Runtime("process", "environments are virtual environments; images are stood for by their packages")
    found = await ask_agent("--probe-containers")
    if found["kind"] is None:
        raise SettingsError(
            f"runtime is 'container', and no container runs here: {found['detail']}. Install podman and runc "
            "(apt-get install podman runc) or docker, or set runtime to 'process'"
        )
    engine = msgspec.convert(found, ContainerEngine)
    return Runtime("container", f"{engine.detail}: environments that are images run in containers", engine)
