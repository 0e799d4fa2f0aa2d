"""Azure Resource Manager ids: compared without case, kept as the client wrote them."""

from __future__ import annotations

from dataclasses import dataclass

from lazulite.core.errors import Refusal

PROVIDER = "Microsoft.MachineLearningServices"


@dataclass(frozen=True, slots=True)
class ArmId:
    """`/subscriptions/s/resourceGroups/g/providers/P/type/name[/type/name...]`, split.

    `types` and `names` run in parallel: for a job, `("workspaces", "jobs")` and `("w", "j")`.
    """

    subscription: str
    resource_group: str | None
    provider: str | None
    types: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[-1]

    @property
    def type(self) -> str:
        """`Microsoft.MachineLearningServices/workspaces/jobs`"""
        return f"{self.provider}/{'/'.join(self.types)}"

    @property
    def workspace(self) -> str | None:
        """The workspace's name when this id is one or lies in one."""
        return self.names[0] if self.types and self.types[0].lower() == "workspaces" else None

    @property
    def registry(self) -> str | None:
        """The registry's name when this id is one or lies in one."""
        return self.names[0] if self.types and self.types[0].lower() == "registries" else None

    def __str__(self) -> str:
        text = f"/subscriptions/{self.subscription}"
        if self.resource_group is not None:
            text += f"/resourceGroups/{self.resource_group}"
        if self.provider is not None:
            text += f"/providers/{self.provider}"
        return text + "".join(f"/{t}/{n}" for t, n in zip(self.types, self.names, strict=True))


def key(arm_id: str) -> str:
    """The form ids are compared and stored under."""
    return arm_id.rstrip("/").lower()


class NotAnId(Refusal, ValueError):
    """A text that is not the ARM id it should be; the message says why."""

    code = "InvalidResourceId"


def parse(text: str) -> ArmId:
    """Split an ARM id. Raises NotAnId naming what is wrong."""
    parts = text.strip("/").split("/")
    if len(parts) < 2 or parts[0].lower() != "subscriptions":
        raise NotAnId(f"'{text}' is not an ARM id: it must begin with /subscriptions/<id>")
    subscription, rest = parts[1], parts[2:]
    group = provider = None
    if len(rest) >= 2 and rest[0].lower() == "resourcegroups":
        group, rest = rest[1], rest[2:]
    if len(rest) >= 2 and rest[0].lower() == "providers":
        provider, rest = rest[1], rest[2:]
    if len(rest) % 2:
        raise NotAnId(f"'{text}' is not an ARM id: '{rest[-1]}' has a type and no name")
    return ArmId(subscription, group, provider, tuple(rest[0::2]), tuple(rest[1::2]))


def workspace_id(subscription: str, group: str, name: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{PROVIDER}/workspaces/{name}"


def workspace_of(arm_id: str) -> str:
    """The id of the workspace that `arm_id` lies in. Raises NotAnId."""
    found = parse(arm_id)
    if not found.workspace or found.resource_group is None:
        raise NotAnId(f"'{arm_id}' does not lie in a workspace")
    return workspace_id(found.subscription, found.resource_group, found.workspace)


def registry_id(subscription: str, group: str, name: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}/providers/{PROVIDER}/registries/{name}"


def registry_of(arm_id: str) -> str | None:
    """The id of the registry that `arm_id` is or lies in; None where it lies elsewhere. Raises NotAnId."""
    found = parse(arm_id)
    if not found.registry or found.resource_group is None:
        return None
    return registry_id(found.subscription, found.resource_group, found.registry)


def asset_home(arm_id: str) -> str:
    """The id of the registry or workspace that an asset lies in. Raises NotAnId."""
    return registry_of(arm_id) or workspace_of(arm_id)
