"""A job and the facts about it, made into the plan that the agent beside the process follows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from lazulite.core import arm_id
from lazulite.core.clock import parse_duration
from lazulite.core.errors import ApiError
from lazulite.engine.jobs.facts import Facts
from lazulite.engine.settings import EngineSettings
from lazulite.model import url_mirror
from lazulite.model.job_status import JobOutput
from lazulite.model.run_plan import (
    Code,
    DataKind,
    Distribution,
    EnvironmentPlan,
    Input,
    Isolation,
    Limits,
    Output,
    Parallel,
    RunPlan,
    RunSecrets,
    Transfer,
)
from lazulite.resources import places as locations
from lazulite.resources import vm_sizes
from lazulite.resources.jobs import not_started
from lazulite.resources.places import Location
from lazulite.store.locations import StorageLocator
from lazulite.store.resources import Json, Resource

_MODES = {
    "readonlymount": "ro_mount",
    "readwritemount": "rw_mount",
    "download": "download",
    "direct": "direct",
    "evalmount": "eval_mount",
    "evaldownload": "eval_download",
    "upload": "upload",
}
#: Azure's own.
_SHM_SIZE = "2g"
_SAS_HOURS = 24.0 * 7


@dataclass(frozen=True, slots=True)
class Planned:
    """What to start, and what the job's status says about it."""

    plan: RunPlan
    secrets: RunSecrets
    outputs: dict[str, JobOutput]
    notes: tuple[str, ...] = ()


def build(
    job: Resource,
    facts: Facts,
    environment: EnvironmentPlan,
    settings: EngineSettings,
    storage: StorageLocator,
    token: str,
) -> Planned:
    """Raises ApiError where an address leads nowhere this machine can reach."""
    properties = job.properties
    queries: dict[str, str] = {}
    places = _Places(storage, queries, settings.url_mirror)
    parallel = _parallel(job)
    plan = RunPlan(
        job=job.name,
        command=str(properties.get("command", "")),
        environment=_rooted(_noted(environment, properties), facts, places),
        environments_root=str(settings.environments_root),
        artifacts=str(places.folder(facts.artifacts)),
        uv=settings.uv,
        uv_cache=settings.uv_cache,
        code=_code(facts, places),
        inputs=_inputs(_readable(properties.get("inputs") or {}, parallel), facts, places),
        outputs=_outputs(properties.get("outputs") or {}, facts, places),
        variables=variables(job, facts, settings),
        timeout_s=timeout_s(properties),
        grace_s=settings.grace_s,
        distribution=_distribution(properties) if parallel is None else Distribution(),
        parallel=parallel,
        transfer=_transfer(job),
        isolation=_isolation(settings, environment),
        limits=_limits(job, facts, settings, parallel),
        container=settings.container if environment.image else None,
        shm_size=str((properties.get("resources") or {}).get("shmSize") or _SHM_SIZE),
        ca_bundle=settings.ca_bundle,
    )
    secrets = RunSecrets(variables=_secret_variables(token, properties, settings), queries=queries)
    return Planned(plan, secrets, described(job, facts), _notes(properties, facts))


def described(job: Resource, facts: Facts) -> dict[str, JobOutput]:
    """What a job's status says of its outputs."""
    given: Json = job.properties.get("outputs") or {}
    return {
        name: JobOutput(where.uri, str((given.get(name) or {}).get("jobOutputType") or "uri_folder"))
        for name, where in facts.outputs.items()
    }


def variables(job: Resource, facts: Facts, settings: EngineSettings) -> dict[str, str]:
    """What Azure ML sets for a process, without the secret ones; the user's own come last."""
    workspace = arm_id.parse(facts.workspace.id)
    tracking = f"{settings.base_url}/mlflow/rest{facts.workspace.id}"
    found = {
        "AZUREML_RUN_ID": job.name,
        "AZUREML_ROOT_RUN_ID": str(job.spec.get("rootRun") or job.name),
        "AZUREML_EXPERIMENT_NAME": facts.experiment_name,
        "AZUREML_EXPERIMENT_ID": facts.experiment_id,
        "AZUREML_ARM_SUBSCRIPTION": workspace.subscription,
        "AZUREML_ARM_RESOURCEGROUP": workspace.resource_group or "",
        "AZUREML_ARM_WORKSPACE_NAME": workspace.name,
        "AZUREML_ARM_PROJECT_NAME": facts.experiment_name,
        "AZUREML_WORKSPACE_ID": facts.guid,
        "AZUREML_WORKSPACE_NAME": workspace.name,
        "AZUREML_WORKSPACE_SCOPE": facts.workspace.id,
        "AZUREML_EXPERIMENT_SCOPE": f"{facts.workspace.id}/experiments/{facts.experiment_name}",
        "AZUREML_RUN_HISTORY_SERVICE_ENDPOINT": settings.base_url,
        "AZUREML_SERVICE_ENDPOINT": settings.base_url,
        "AZUREML_CURRENT_CLOUD": settings.cloud,
        "ARM_CLOUD_METADATA_URL": f"{settings.http_url}/metadata/endpoints",
        "IDENTITY_ENDPOINT": f"{settings.http_url}/msi/token",
        "MLFLOW_TRACKING_URI": tracking,
        "MLFLOW_REGISTRY_URI": tracking,
        # The links are over TLS, which libraries in jobs insist on and browsers refuse. The job has a page of its own.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_RUN_ID": job.name,
        "MLFLOW_EXPERIMENT_ID": facts.experiment_id,
        "MLFLOW_EXPERIMENT_NAME": facts.experiment_name,
    }
    if settings.ca_bundle:
        found |= {"REQUESTS_CA_BUNDLE": settings.ca_bundle, "SSL_CERT_FILE": settings.ca_bundle}
    if facts.compute is not None:
        found["AZUREML_COMPUTE_NAME"] = facts.compute.name
    for name in facts.outputs:
        found[f"AZUREML_DATAREFERENCE_{name}"] = facts.outputs[name].uri
    own = job.properties.get("environmentVariables") or {}
    return found | {str(name): "" if value is None else str(value) for name, value in own.items()}


def timeout_s(properties: Json) -> float | None:
    """How many seconds a job may run; None where it has no limit."""
    text = (properties.get("limits") or {}).get("timeout")
    return parse_duration(str(text)) if text else None


def asset_kind(output_type: str) -> str:
    """The collection an output of that type is an asset of: `models` or `data`."""
    return "models" if output_type.endswith("_model") else "data"


def asset_name(job: str, output: str, output_type: str) -> str:
    """The name of the asset that an output becomes by itself, as on Azure."""
    kind = output_type if output_type.endswith("_model") else "data"
    return f"azureml_{job}_output_{kind}_{output}"


def _secret_variables(token: str, properties: Json, settings: EngineSettings) -> dict[str, str]:
    found = {"AZUREML_RUN_TOKEN": token, "MLFLOW_TRACKING_TOKEN": token, "IDENTITY_HEADER": token}
    if _identity_type(properties) == "useridentity":
        # AzureMLOnBehalfOfCredential sends no header: the address is its key.
        found["OBO_ENDPOINT"] = f"{settings.http_url}/obo/token/{token}"
    return found


def _identity_type(properties: Json) -> str:
    return str((properties.get("identity") or {}).get("identityType") or "AMLToken").lower()


class _Places:
    """Turns locations into paths of this machine or addresses; grants go to `queries`."""

    def __init__(self, storage: StorageLocator, queries: dict[str, str], mirror: Mapping[str, str]) -> None:
        self._storage = storage
        self._mirror = mirror
        self._queries = queries

    def path(self, where: Location) -> Path | None:
        if where.account is None or where.container is None:
            return locations.mirrored(self._mirror, where)
        return self._storage.local_path(where.account, where.container, where.path)

    def root(self, where: Location) -> str | None:
        """The folder of the whole datastore or mirror: no link may lead out of it."""
        mirrored = url_mirror.find(self._mirror, where.url) if where.account is None and where.url else None
        if mirrored is not None:
            return mirrored[0]
        found = self.path(replace(where, path=""))
        return None if found is None else str(found)

    def folder(self, where: Location) -> Path:
        """The run's artifacts, which have to lie on this machine."""
        path = self.path(where)
        if path is None:
            message = f"Runs on this machine keep their artifacts in plain folders, and '{where.uri}' is not one."
            raise ApiError(501, "NotImplemented", message)
        return path

    def granted(self, name: str, where: Location, permissions: str) -> str | None:
        """An address without its query, which is kept as a secret."""
        url = where.url
        if where.account is not None and where.container is not None:
            url = self._storage.sas_url(where.account, where.container, where.path, permissions, _SAS_HOURS)
        if url is None:
            return None
        url = url_mirror.https_form(url)
        address, _, query = url.partition("?")
        if query:
            self._queries[name] = query
        return address


def _rooted(environment: EnvironmentPlan, facts: Facts, places: _Places) -> EnvironmentPlan:
    if environment.context is None or facts.context is None:
        return environment
    return msgspec.structs.replace(environment, context_root=places.root(facts.context))


def _code(facts: Facts, places: _Places) -> Code | None:
    if facts.code is None:
        return None
    asset, where = facts.code
    digest = (asset.properties.get("properties") or {}).get("hash_sha256")
    path = places.path(where)
    if path is not None:
        return Code(path=str(path), root=places.root(where), hash=digest)
    url = places.granted("code", where, "rl")
    if url is None:
        raise ApiError(400, "CodeNotFound", f"The code '{where.uri}' does not lie where it can be fetched from.")
    return Code(url=url, hash=digest)


def _inputs(given: Json, facts: Facts, places: _Places) -> dict[str, Input]:
    found = {}
    for name, value in given.items():
        if not value:
            continue
        where = facts.inputs.get(name)
        if where is None:
            text = value.get("value")
            found[name] = Input(
                kind=DataKind.LITERAL, type="literal", mode="direct", value=None if text is None else str(text)
            )
        else:
            found[name] = _input(name, value, where, places)
    return found


def _input(name: str, value: Json, where: Location, places: _Places) -> Input:
    kind = str(value.get("jobInputType") or "uri_folder").lower()
    mode = _mode(value, "ro_mount")
    path = places.path(where)
    if path is not None:
        root = places.root(where)
        return Input(kind=DataKind.PATH, type=kind, mode=mode, path=str(path), root=root, uri=where.uri)
    address = places.granted(f"inputs.{name}", where, "rl")
    if address is None:
        raise ApiError(400, "InputNotReachable", f"Input '{name}' at '{where.uri}' cannot be fetched from here.")
    in_blob = where.account is not None or where.datastore is not None
    return Input(kind=DataKind.BLOB if in_blob else DataKind.HTTP, type=kind, mode=mode, url=address, uri=where.uri)


def _outputs(given: Json, facts: Facts, places: _Places) -> dict[str, Output]:
    found = {}
    for name, where in facts.outputs.items():
        value = given.get(name) or {}
        kind, mode = str(value.get("jobOutputType") or "uri_folder"), _mode(value, "rw_mount")
        path = places.path(where)
        if path is not None:
            root = places.root(where)
            found[name] = Output(kind=DataKind.PATH, type=kind, mode=mode, path=str(path), root=root, uri=where.uri)
            continue
        address = places.granted(f"outputs.{name}", where, "racwdl")
        if address is None or where.account is None:
            raise ApiError(400, "OutputNotReachable", f"Output '{name}' cannot be written to '{where.uri}' from here.")
        found[name] = Output(kind=DataKind.BLOB, type=kind, mode=mode, url=address, uri=where.uri)
    return found


def _mode(value: Json, otherwise: str) -> str:
    return _MODES.get(str(value.get("mode") or "").lower(), otherwise)


def _distribution(properties: Json) -> Distribution:
    nodes = max(1, int((properties.get("resources") or {}).get("instanceCount") or 1))
    given: dict[str, Any] = properties.get("distribution") or {}
    kind = str(given.get("distributionType") or "").lower() or None
    return Distribution(
        type=kind,
        nodes=nodes,
        processes_per_node=int(given.get("processCountPerInstance") or 1),
        worker_count=int(given.get("workerCount") or nodes),
        parameter_server_count=int(given.get("parameterServerCount") or 0),
    )


def _parallel(job: Resource) -> Parallel | None:
    """A parallel job has one process, which starts its workers itself."""
    found = (job.spec.get("resolved") or {}).get("parallel")
    return None if found is None else msgspec.convert(found, Parallel)


def _transfer(job: Resource) -> Transfer | None:
    found = (job.spec.get("resolved") or {}).get("transfer")
    if found is None:
        return None
    return msgspec.structs.replace(msgspec.convert(found, Transfer), resumed=int(job.spec.get("attempt", 1)) > 1)


def _readable(given: Json, parallel: Parallel | None) -> Json:
    """The input that is cut into mini-batches has to lie in a folder, with its MLTable file, in every mode."""
    if parallel is None or parallel.input not in given:
        return given
    mode = {"direct": "ReadOnlyMount", "evalmount": "ReadOnlyMount", "evaldownload": "Download"}
    value = given[parallel.input]
    found = mode.get(str(value.get("mode") or "").lower(), value.get("mode"))
    return {**given, parallel.input: {**value, "mode": found}}


def _noted(environment: EnvironmentPlan, properties: Json) -> EnvironmentPlan:
    if environment.image is None or not (properties.get("resources") or {}).get("dockerArgs"):
        return environment
    note = "resources.docker_args is not passed on: the job's container gets its folders and the network, no more."
    return msgspec.structs.replace(environment, notes=[*environment.notes, note])


def _isolation(settings: EngineSettings, environment: EnvironmentPlan) -> Isolation:
    hide = dict.fromkeys([str(settings.home), *settings.hide])
    show = [*([settings.ca_bundle] if settings.ca_bundle else []), *settings.show]
    kind = "container" if environment.image else settings.isolation
    options = list(settings.bwrap_options)
    return Isolation(kind=kind, bwrap=settings.bwrap, options=options, hide=list(hide), show=show)


def _limits(job: Resource, facts: Facts, settings: EngineSettings, parallel: Parallel | None) -> Limits:
    """Those of a node. A parallel job is one process for all of its nodes; all nodes write to one folder."""
    resources = job.properties.get("resources") or {}
    inner = (facts.compute.properties.get("properties") or {}) if facts.compute else {}
    size = resources.get("instanceType") or inner.get("vmSize") or (None if facts.compute else vm_sizes.DEFAULT)
    limits = settings.limits_of(size)
    whole = parallel.instances if parallel else 1
    nodes = max(whole, int(resources.get("instanceCount") or 1))
    return msgspec.structs.replace(
        limits,
        memory_bytes=_times(limits.memory_bytes, whole),
        processes=_times(limits.processes, whole),
        disk_bytes=_times(limits.disk_bytes, nodes),
    )


def _times(limit: int | None, count: int) -> int | None:
    return None if limit is None else limit * count


def _notes(properties: Json, facts: Facts) -> tuple[str, ...]:
    """What the owner of the job should know: services of a pipeline's step are said here for the first time."""
    notes = not_started(properties.get("services"))
    kind = str(facts.compute.properties.get("computeType")) if facts.compute else "AmlCompute"
    if facts.compute and kind not in ("AmlCompute", "ComputeInstance"):
        name = facts.compute.name
        notes.append(f"The compute '{name}' is attached as {kind}; its jobs run on this server's own machine.")
    if _identity_type(properties) not in ("amltoken", "useridentity"):
        identity = properties["identity"]["identityType"]
        notes.append(f"The identity {identity} is not lent to jobs: this one acts with a token of its own.")
    return tuple(notes)
