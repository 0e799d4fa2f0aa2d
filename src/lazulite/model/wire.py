"""The fields of ARM documents that we act on, with their types. Everything else is kept as sent and never looked at.

These Structs only check: a document that fits is stored as its writer sent it. All fields may be missing or null; what
must be there is each resource type's own rule.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lazulite.core.errors import validation

Texts = dict[str, str | int | float | bool | None]
Object = dict[str, Any]
_MAX_TEXT = 1_000_000


class _Wire(msgspec.Struct, rename="camel", kw_only=True):
    """Unknown fields are let through."""


class Asset(_Wire):
    description: str | None = None
    tags: Texts | None = None
    properties: Texts | None = None
    is_archived: bool | None = None
    is_anonymous: bool | None = None


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
    component_spec: Object | None = None


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

        vm_size: str | None = None
        vm_priority: str | None = None
        os_type: str | None = None
        scale_settings: Scale | None = None
        idle_time_before_shutdown: str | None = None
        schedules: Object | None = None
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

    class Queue(_Wire):
        job_tier: str | None = None
        priority: int | None = None

    class Input(_Wire):
        job_input_type: str | None = None
        uri: str | None = None
        mode: str | None = None
        value: str | int | float | bool | None = None

    class Output(_Wire):
        job_output_type: str | None = None
        uri: str | None = None
        mode: str | None = None
        asset_name: str | None = None
        asset_version: str | None = None

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


def _convert(value: Object, kind: type[msgspec.Struct], at: str) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        said, _, path = str(error).partition(" - at `")
        field = path.rstrip("`").removeprefix("$").removeprefix(".")
        target = ".".join(part for part in (at, field) if part)
        raise validation(f"{target or 'The body'}: {said[:1].lower()}{said[1:]}.", target or "body") from None
