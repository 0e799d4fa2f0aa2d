"""From a job's environment to the plan that builds it."""

from __future__ import annotations

from typing import Protocol

from lazulite.engine.jobs.facts import Facts
from lazulite.model.run_plan import EnvironmentPlan


class EnvironmentPlanner(Protocol):
    async def plan(self, facts: Facts) -> EnvironmentPlan:
        """Raises ApiError naming what cannot be met."""
        ...
