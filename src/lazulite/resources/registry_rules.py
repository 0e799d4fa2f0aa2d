"""What a registry's component or environment may name: what is in registries, and nothing of a workspace.

Whoever uses it elsewhere finds all that it needs; a workspace's environment or code would stay behind.
"""

from __future__ import annotations

from lazulite.core import arm_id
from lazulite.core.errors import validation
from lazulite.resources import component_references, components, environments, references, registry_storage
from lazulite.resources.declaration import Write


def prepare_environment(write: Write) -> None:
    environments.prepare(write)
    build = write.properties.get("build")
    if write.existing is None and isinstance(build, dict):
        target = "properties.build.contextUri"
        registry_storage.check_address(write, arm_id.asset_home(write.id), str(build["contextUri"]), target)


def prepare_component(write: Write) -> None:
    components.prepare(write)
    if write.existing is None:
        for collection, reference, target in component_references.named(
            write.properties["componentSpec"], "properties.componentSpec"
        ):
            _check(write, collection, reference, target)


def _check(write: Write, collection: str, reference: str, target: str) -> None:
    """Raises ApiError 400 where the reference leads to a workspace, 404 where it leads nowhere."""
    registry = arm_id.asset_home(write.id)
    if "/workspaces/" in reference.lower():
        noun = {"codes": "code"}.get(collection, collection.removesuffix("s"))
        raise validation(
            f"'{reference}' lies in a workspace, and a component of a registry may be used from any. Put the {noun} into "
            f"a registry and name it 'azureml://registries/{{registry}}/{collection}/{{name}}/versions/{{version}}'.",
            target,
        )
    look = {
        "environments": references.environment,
        "codes": references.code,
        "components": references.component,
    }[collection]
    look(write.connection, registry, reference, target=target, access=write.require)
