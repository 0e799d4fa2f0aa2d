"""Everything in the store that a job's plan depends on, gathered in one read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import not_found
from lazulite.environments.catalogue import CuratedEnvironment
from lazulite.resources import places, references
from lazulite.resources.places import Location
from lazulite.store import resources, runs
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource

DEFAULT_STORE = "workspaceblobstore"
_LITERALS = ("literal", "safe_literal")


@dataclass(frozen=True, slots=True)
class Facts:
    """`inputs` leaves out literals and inputs that were not given; `code` is the code asset and where it lies.

    A job that copies data has no environment.
    """

    workspace: Resource
    guid: str
    experiment_id: str
    experiment_name: str
    environment: Resource | CuratedEnvironment | None
    artifacts: Location
    context: Location | None = None
    code: tuple[Resource, Location] | None = None
    inputs: dict[str, Location] = field(default_factory=dict)
    outputs: dict[str, Location] = field(default_factory=dict)
    compute: Resource | None = None


def gather(c: Connection, job: Resource, storage: StorageLocator, compute_key: str | None) -> Facts:
    """Raises ApiError where something the job refers to is not there (any more)."""
    workspace_id = arm_id.workspace_of(job.id)
    workspace = resources.get(c, workspace_id)
    if workspace is None:
        raise not_found(f"The workspace '{arm_id.parse(workspace_id).name}' of the job does not exist any more.")
    run = runs.get(c, workspace_id, job.name)
    resolved = job.spec.get("resolved") or {}
    properties = job.properties
    named = resolved.get("environment") or str(properties.get("environmentId"))
    environment = None if "transfer" in resolved else references.environment(c, workspace_id, named)
    code_id = resolved.get("code") or properties.get("codeId")
    return Facts(
        workspace=workspace,
        guid=str(workspace.properties.get("workspaceId", "")),
        experiment_id=run.experiment_id if run else "0",
        experiment_name=run.experiment_name if run else str(properties.get("experimentName") or "Default"),
        environment=environment,
        context=_context(c, storage, environment),
        code=_code(c, workspace_id, storage, code_id) if code_id else None,
        inputs=_inputs(c, workspace_id, storage, properties.get("inputs") or {}),
        outputs={
            name: output_location(
                c, workspace_id, storage, job.name, name, given or {}, job.spec.get("defaultDatastore")
            )
            for name, given in (properties.get("outputs") or {}).items()
            if name != "default"
        },
        artifacts=places.artifacts(c, workspace_id, storage, job.name),
        compute=resources.get(c, compute_key) if compute_key else None,
    )


def output_location(
    c: Connection,
    workspace_id: str,
    storage: StorageLocator,
    job: str,
    name: str,
    given: Json,
    default_store: str | None = None,
) -> Location:
    """Where an output goes: what the job says, with its placeholders filled, else the default datastore."""
    store = default_store or DEFAULT_STORE
    is_file = given.get("jobOutputType") == "uri_file"
    uri = given.get("uri") or f"azureml://datastores/{store}/paths/azureml/{job}/{name}" + ("" if is_file else "/")
    values = {"name": job, "output_name": name, "default_datastore": store}
    uri = re.sub(r"\$\{\{\s*(\w+)\s*\}\}", lambda m: values.get(m[1], m[0]), str(uri))
    if is_file and uri.endswith("/"):
        uri += name
    return places.locate(c, workspace_id, storage, uri, target=f"properties.outputs.{name}.uri")


def _code(c: Connection, workspace_id: str, storage: StorageLocator, reference: str) -> tuple[Resource, Location]:
    code = references.code(c, workspace_id, reference)
    uri = str(code.properties.get("codeUri"))
    return code, places.locate(c, arm_id.asset_home(code.id), storage, uri, target="properties.codeUri")


def _inputs(c: Connection, workspace_id: str, storage: StorageLocator, inputs: Json) -> dict[str, Location]:
    found = {}
    for name, given in inputs.items():
        if given and str(given.get("jobInputType", "")).lower() not in _LITERALS and given.get("uri"):
            kind = str(given.get("jobInputType", "uri_folder"))
            target = f"properties.inputs.{name}.uri"
            found[name] = places.locate(c, workspace_id, storage, str(given["uri"]), kind, target=target)
    return found


def _context(
    c: Connection, storage: StorageLocator, environment: Resource | CuratedEnvironment | None
) -> Location | None:
    if not isinstance(environment, Resource):
        return None
    uri = (environment.properties.get("build") or {}).get("contextUri")
    if not uri:
        return None
    return places.locate(c, arm_id.asset_home(environment.id), storage, str(uri), target="properties.build.contextUri")
