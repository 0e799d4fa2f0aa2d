"""Models: a version is what `ml_client.models` and MLflow's registry both see."""

from __future__ import annotations

from lazulite.core.errors import conflict, nearest, validation
from lazulite.model import wire
from lazulite.resources import assets, versions
from lazulite.resources.declaration import Reading, ResourceType, Shape, Write
from lazulite.store.resources import Json, Resource

KINDS = ("custom_model", "mlflow_model", "triton_model")
_PROMPT_TAG = "mlflow.prompt.is_prompt"


def is_prompt(container: Json) -> bool:
    """By its properties: MLflow keeps prompts among its registered models, and Azure has no asset for them."""
    return (container.get("tags") or {}).get(_PROMPT_TAG) == "true"


def prepare(write: Write) -> None:
    properties = write.properties
    if versions.is_hidden(write.connection, TYPE, write.id):
        raise conflict(f"'{write.id.rsplit('/', 3)[1]}' is a prompt in MLflow's registry. Take another name.", "name")
    if not isinstance(properties.get("modelUri") or (write.existing and write.existing.properties["modelUri"]), str):
        raise validation("A model needs properties.modelUri, the address of its files.", "properties.modelUri")
    kind = properties.get("modelType") or "custom_model"
    if kind not in KINDS:
        raise validation(f"modelType is '{kind}'.{nearest(str(kind), KINDS)}", "properties.modelType")
    properties["modelType"] = kind
    assets.follow(write, "modelUri")
    assets.prepare(write, ("modelUri", "modelType"), "Model")


def view(reading: Reading, resource: Resource) -> Json:
    properties = assets.view(reading, resource)
    return {**properties, "flavors": properties.get("flavors") or {}, "stage": properties.get("stage")}


TYPE = ResourceType(
    collection="workspaces/models",
    operations="ModelVersions",
    wire=wire.Model,
    shape=Shape.VERSIONED,
    prepare=prepare,
    view=view,
    hidden=is_prompt,
)
