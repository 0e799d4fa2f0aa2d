"""From a job's environment to the plan that builds it; plans are kept in memory, as an environment never changes."""

from __future__ import annotations

import asyncio
from typing import Protocol

from lazulite.core.errors import ApiError
from lazulite.engine.jobs.facts import Facts
from lazulite.environments import interpreters
from lazulite.environments.catalogue import CuratedEnvironment
from lazulite.environments.resolve import resolve
from lazulite.environments.spec import EnvironmentSpec, Unresolvable
from lazulite.model.run_plan import EnvironmentPlan
from lazulite.resources import environment_rules
from lazulite.resources.places import Location
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Resource

_KEPT = 512
#: Of jobs that run nothing of the user's.
_NONE = EnvironmentPlan(key="none", name="none", python="", interpreter="")


class EnvironmentPlanner(Protocol):
    async def plan(self, facts: Facts) -> EnvironmentPlan:
        """Raises ApiError naming what cannot be met."""
        ...

    async def warm(self) -> None:
        """Find out beforehand what every plan needs."""
        ...


class Environments:
    """Resolves environment assets and curated names with the interpreters, or the containers, of this machine."""

    def __init__(self, storage: StorageLocator, *, in_containers: bool = False) -> None:
        self._storage = storage
        self._in_containers = in_containers
        self._plans: dict[tuple[str, str], EnvironmentPlan] = {}

    async def warm(self) -> None:
        await asyncio.to_thread(interpreters.discover)

    async def plan(self, facts: Facts) -> EnvironmentPlan:
        environment = facts.environment
        if environment is None:
            return _NONE
        key = _identity(environment)
        found = self._plans.get(key)
        if found is None:
            found = await asyncio.to_thread(self._resolve, environment, facts.context)
            if len(self._plans) >= _KEPT:
                self._plans.clear()
            self._plans[key] = found
        return found

    def _resolve(self, environment: Resource | CuratedEnvironment, context: Location | None) -> EnvironmentPlan:
        try:
            spec = self._spec(environment, context)
            return resolve(spec, interpreters=interpreters.discover(), in_containers=self._in_containers)
        except Unresolvable as error:
            raise ApiError(400, "EnvironmentUnresolvable", str(error), target="environmentId") from error

    def _spec(self, environment: Resource | CuratedEnvironment, context: Location | None) -> EnvironmentSpec:
        if isinstance(environment, CuratedEnvironment):
            return environment.spec()
        properties = environment.properties
        build = properties.get("build")
        return EnvironmentSpec(
            name=environment.id.rsplit("/", 3)[1],
            version=environment.name,
            image=properties.get("image"),
            conda_file=properties.get("condaFile"),
            build=environment_rules.context(build, context, self._storage) if build else None,
        )


def _identity(environment: Resource | CuratedEnvironment) -> tuple[str, str]:
    if isinstance(environment, CuratedEnvironment):
        return environment.name, environment.latest
    return environment.key, environment.etag
