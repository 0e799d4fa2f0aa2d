"""The fields of ARM documents that we act on, with their types. Everything else is kept as sent and never looked at.

These Structs only check: a document that fits is stored as its writer sent it. All fields may be missing or null; what
must be there is each resource type's own rule.
"""

from __future__ import annotations

import functools
import operator
import re
from typing import Any

import msgspec

from lazulite.core.errors import validation

Scalar = str | int | float | bool | None
Texts = dict[str, Scalar]
Object = dict[str, Any]
_CAPITAL = re.compile("[A-Z]")


class _Wire(msgspec.Struct, rename="camel", kw_only=True):
    """Unknown fields are let through."""


class Asset(_Wire):
    description: str | None = None
    tags: Texts | None = None
    properties: Texts | None = None
    is_archived: bool | None = None
    is_anonymous: bool | None = None


class Container(Asset):
    """What holds the versions of an asset."""

    data_type: str | None = None


class Environment(Asset):
    class Build(_Wire):
        context_uri: str | None = None
        dockerfile_path: str | None = None

    image: str | None = None
    conda_file: str | None = None
    build: Build | None = None
    os_type: str | None = None


class Data(Asset):
    data_uri: str | None = None
    data_type: str | None = None


class Model(Asset):
    model_uri: str | None = None
    model_type: str | None = None
    flavors: Object | None = None
    stage: str | None = None
    job_name: str | None = None


class Component(Asset):
    class Spec(msgspec.Struct, kw_only=True):
        """What all kinds have, in the words of YAML."""

        command: str | None = None
        code: str | None = None
        environment: str | Object | None = None
        inputs: dict[str, Object | None] | None = None
        outputs: dict[str, Object | None] | None = None
        jobs: Object | None = None
        environment_variables: Object | None = None
        resources: Object | None = None
        distribution: Object | None = None
        retry_settings: Object | None = None
        task: str | Object | None = None

    component_spec: Spec | None = None


class Node(msgspec.Struct, kw_only=True):
    """A node of a pipeline, in the words of YAML; what it says may be an expression, which stands in a text."""

    type: str | None = None
    component_id: str | None = None
    compute: str | None = None
    compute_id: str | None = None
    display_name: str | None = None
    description: str | None = None
    inputs: dict[str, Scalar | Object] | None = None
    outputs: dict[str, str | Object | None] | None = None
    trial: Object | None = None
    task: str | Object | None = None
    tags: Object | None = None
    properties: Object | None = None
    environment_variables: Object | None = None
    resources: Object | None = None
    limits: Object | None = None
    distribution: Object | None = None
    identity: Object | None = None
    queue_settings: Object | None = None
    services: dict[str, Object | None] | None = None
    retry_settings: Object | None = None


class Code(Asset):
    code_uri: str | None = None


class Datastore(_Wire):
    class Credentials(_Wire):
        credentials_type: str | None = None
        secrets: dict[str, str | bool | int | None] | None = None

    datastore_type: str | None = None
    account_name: str | None = None
    container_name: str | None = None
    filesystem: str | None = None
    file_share_name: str | None = None
    endpoint: str | None = None
    protocol: str | None = None
    credentials: Credentials | None = None
    tags: Texts | None = None
    properties: Texts | None = None
    description: str | None = None


class Compute(_Wire):
    class Inner(_Wire):
        class Scale(_Wire):
            min_node_count: int | None = None
            max_node_count: int | None = None
            node_idle_time_before_scale_down: str | None = None

        class Account(_Wire):
            username: str | None = None
            password: str | None = None
            public_key_data: str | None = None
            private_key_data: str | None = None

        class Place(_Wire):
            id: str | None = None

        vm_size: str | None = None
        vm_priority: str | None = None
        os_type: str | None = None
        scale_settings: Scale | None = None
        idle_time_before_shutdown: str | None = None
        schedules: Object | None = None
        subnet: Place | None = None
        virtual_machine_image: Place | None = None
        administrator_account: Account | None = None
        databricks_access_token: str | None = None

    compute_type: str | None = None
    compute_location: str | None = None
    resource_id: str | None = None
    description: str | None = None
    properties: Inner | None = None


class Job(Asset):
    class Resources(_Wire):
        instance_count: int | None = None
        instance_type: str | list[str] | None = None
        shm_size: str | None = None
        docker_args: str | None = None
        properties: Object | None = None

    class Limits(_Wire):
        timeout: str | None = None
        job_limits_type: str | None = None

    class Distribution(_Wire):
        distribution_type: str | None = None
        process_count_per_instance: int | None = None
        worker_count: int | None = None
        parameter_server_count: int | None = None

    class Identity(_Wire):
        identity_type: str | None = None
        resource_id: str | None = None
        client_id: str | None = None
        object_id: str | None = None

    class Queue(_Wire):
        job_tier: str | None = None
        priority: int | None = None

    class Input(_Wire):
        job_input_type: str | None = None
        uri: str | None = None
        mode: str | None = None
        value: Scalar = None

    class Output(_Wire):
        job_output_type: str | None = None
        uri: str | None = None
        mode: str | None = None
        asset_name: str | None = None
        asset_version: str | None = None

    class Trial(_Wire):
        command: str | None = None
        code_id: str | None = None
        environment_id: str | None = None
        environment_variables: Texts | None = None
        resources: Job.Resources | None = None
        distribution: Job.Distribution | None = None

    job_type: str | None = None
    command: str | None = None
    code_id: str | None = None
    environment_id: str | None = None
    compute_id: str | None = None
    component_id: str | None = None
    experiment_name: str | None = None
    display_name: str | None = None
    inputs: dict[str, Input | None] | None = None
    outputs: dict[str, Output | None] | None = None
    environment_variables: Texts | None = None
    resources: Resources | None = None
    limits: Limits | None = None
    distribution: Distribution | None = None
    identity: Identity | None = None
    queue_settings: Queue | None = None
    services: dict[str, Object | None] | None = None
    settings: Object | None = None
    trial: Trial | None = None


class Workspace(_Wire):
    friendly_name: str | None = None
    description: str | None = None
    storage_account: str | None = None
    key_vault: str | None = None
    application_insights: str | None = None
    container_registry: str | None = None
    image_build_compute: str | None = None
    hub_resource_id: str | None = None


class Registry(_Wire):
    public_network_access: str | None = None
    intellectual_property_publisher: str | None = None


class Envelope(_Wire):
    """What every ARM document may have around its properties."""

    location: str | None = None
    kind: str | None = None
    tags: Texts | None = None
    identity: Object | None = None
    sku: Object | None = None
    properties: Object | None = None


def check(document: Object, properties: type[msgspec.Struct] | None) -> None:
    """Refuse values of the wrong type. Raises ApiError 400 naming the field and what it must be."""
    _convert(document, Envelope, "")
    if properties is not None:
        _convert(document.get("properties") or {}, properties, "properties")


def check_node(node: Object, target: str) -> None:
    """Refuse values of the wrong type in a node of a pipeline, whose fields clients also send in camelCase."""
    _convert({_snake(name): value for name, value in node.items() if value is not None}, Node, target)


def _snake(name: str) -> str:
    return _CAPITAL.sub(lambda found: f"_{found[0].lower()}", name)


def _convert(value: Object, kind: type[msgspec.Struct], at: str) -> None:
    found = _refused(value, kind)
    if found is None:
        return
    said, field = found
    target = ".".join(part for part in (at, _spelled(value, kind, field)) if part)
    raise validation(f"{target or 'The body'}: {said[:1].lower()}{said[1:]}.", target or "body")


def _refused(value: Object, kind: type[msgspec.Struct]) -> tuple[str, str] | None:
    """What is wrong, and the field's path; None where the value fits."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `")
        return said, path.rstrip("`").removeprefix("$").removeprefix(".")
    return None


def _spelled(value: Object, kind: type[msgspec.Struct], field: str) -> str:
    """The path with the name that msgspec writes as `[...]`: it is found by looking at the entries one by one."""
    above, unnamed, below = field.partition("[...]")
    if not unnamed:
        return field
    steps = above.split(".")
    entries: Object = functools.reduce(operator.getitem, steps, value)
    for name, item in entries.items():
        alone = functools.reduce(lambda inner, step: {step: inner}, reversed(steps), {name: item})
        if _refused(alone, kind) is not None:
            return f"{above}.{name}{below}"
    return field
