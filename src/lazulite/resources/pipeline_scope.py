"""A pipeline and its nodes while they are checked, and what they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lazulite.core import arm_id
from lazulite.core.errors import ApiError, validation
from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_flow import Flow
from lazulite.model.pipeline_graph import InputOf
from lazulite.resources import references
from lazulite.resources.declaration import Write
from lazulite.store.resources import Json, Resource


@dataclass(slots=True)
class Scope:
    """A pipeline while it is checked: its inputs as far as they are known before it runs.

    `home` is the workspace or registry whose assets the short names in its nodes mean.
    """

    write: Write
    home: str
    inputs: Mapping[str, Json | None]
    outputs: Mapping[str, Any]
    nodes: Json
    where: str = "the pipeline"
    target: str = "properties.jobs"
    depth: int = 0
    components: dict[str, Resource] = field(default_factory=dict)
    pins: dict[tuple[str, str, str], Json] = field(default_factory=dict)  # by home, environment and code
    computes: dict[str, str | None] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    flow: Flow = field(default_factory=Flow)


@dataclass(frozen=True, slots=True)
class Node:
    """A node while it is checked, with the specification of its component."""

    scope: Scope
    name: str
    sent: Json
    component: Resource

    @property
    def spec(self) -> Json:
        found: Json = self.component.properties["componentSpec"]
        return found

    @property
    def home(self) -> str:
        """Where the short names in its component lead."""
        return arm_id.asset_home(self.component.id)

    @property
    def target(self) -> str:
        return f"{self.scope.target}.{self.name}"


def component_of(scope: Scope, name: str, sent: Json, target: str) -> Resource:
    reference = graph.component_of(sent)
    if reference is None:
        raise validation(f"The node '{name}' needs componentId, the component that it runs.", f"{target}.componentId")
    if reference not in scope.components:
        write, named = scope.write, f"{target}.componentId"
        found = references.component(write.connection, scope.home, reference, target=named, access=write.require)
        if not isinstance(found.properties.get("componentSpec"), dict):
            raise ApiError(400, "ValidationError", f"The component of the node '{name}' has no specification.")
        scope.components[reference] = found
    return scope.components[reference]


def find_compute(write: Write, reference: Any, target: str) -> str | None:
    """The id of a compute that exists, `serverless`, or None where none is named (yet)."""
    if not reference or "${{" in str(reference):
        return None
    if str(reference).rsplit("/", 1)[-1].removeprefix("azureml:").lower() == "serverless":
        return "serverless"
    return references.compute(write.connection, write.workspace, str(reference), target=target).id


def known_text(scope: Scope, of: graph.Reference) -> str | None:
    """The text that an input of the pipeline is known to be."""
    found = scope.inputs.get(of.name) if isinstance(of, InputOf) else None
    return str(found["value"]) if found and found.get("value") is not None else None
