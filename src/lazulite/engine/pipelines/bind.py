"""A node of a pipeline, made into the document of a job: its component with inputs bound and overrides applied. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lazulite.core.numbers import whole_number
from lazulite.model import data_transfer, parallel_task, sweep_node
from lazulite.model import pipeline_graph as graph
from lazulite.model.pipeline_graph import InputOf, OutputOf, Reference, WrittenTo
from lazulite.store.resources import Json

_DISTRIBUTIONS = {"pytorch": "PyTorch", "mpi": "Mpi", "tensorflow": "TensorFlow", "ray": "Ray"}
_IDENTITIES = {
    "user_identity": "UserIdentity",
    "userIdentity": "UserIdentity",
    "managed": "Managed",
    "managed_identity": "Managed",
    "aml_token": "AMLToken",
}


@dataclass(frozen=True, slots=True)
class Context:
    """A node about to become a job.

    `sent` is the node as its author wrote it, with its data as pinned, and what its loop gives on top; `pinned` what was
    found for it at submission, `spec` its component's; `pipeline` are the properties of the pipeline job around it,
    `results` what finished nodes gave, by node and output, in the form of a job's input.
    """

    node: str
    sent: Json
    pinned: Json
    spec: Json
    pipeline: Json
    results: Mapping[tuple[str, str], Json] = field(default_factory=dict)

    @property
    def inputs(self) -> Mapping[str, Json | None]:
        return self.pipeline.get("inputs") or {}

    @property
    def settings(self) -> Json:
        return self.pipeline.get("settings") or {}


@dataclass(frozen=True, slots=True)
class Child:
    """The properties of the job to be, and what is pinned for it."""

    properties: Json
    resolved: Json


def child(context: Context) -> Child:
    """The job of a node. The kinds that have no builder are refused when a pipeline is submitted."""
    return BUILDERS[str(context.pinned["type"])](context)


def command(context: Context) -> Child:
    sent = filled(context, {name: value for name, value in context.sent.items() if name not in ("inputs", "outputs")})
    spec = context.spec
    compute = compute_of(context, sent)
    properties = {
        **base(context, "Command"),
        "services": _services(_object(sent, "services")),
        "command": str(spec.get("command") or ""),
        "codeId": context.pinned.get("code"),
        "environmentId": context.pinned["environment"],
        "computeId": compute,
        "inputs": inputs(context),
        "outputs": outputs(context),
        "environmentVariables": {**(spec.get("environment_variables") or {}), **_texts(sent, "environment_variables")},
        "resources": _resources(spec.get("resources") or {}, _object(sent, "resources")),
        "limits": _limits(_object(sent, "limits")),
        "distribution": _distribution(_object(sent, "distribution") or spec.get("distribution")),
        "identity": _identity(_object(sent, "identity") or _object(context.pipeline, "identity")),
        "queueSettings": _queue(_object(sent, "queue_settings")),
    }
    resolved = {"environment": context.pinned["environment"], "code": context.pinned.get("code"), "compute": compute}
    return Child({name: value for name, value in properties.items() if value is not None}, resolved)


def sweep(context: Context) -> Child:
    """A sweep whose trials run the component."""
    trial = command(context)
    sent = filled(context, {name: value for name, value in context.sent.items() if name not in ("inputs", "outputs")})
    settings = sweep_node.settings(sent, context.node)
    of_trial = ("command", "codeId", "environmentId", "environmentVariables", "resources", "distribution")
    properties = {
        **base(context, "Sweep"),
        **settings,
        "trial": {name: trial.properties[name] for name in of_trial if name in trial.properties},
        **{name: trial.properties.get(name) for name in ("computeId", "identity", "queueSettings")},
        "inputs": {n: value for n, value in inputs(context).items() if n not in settings["searchSpace"]},
        "outputs": outputs(context),
    }
    return Child(properties, trial.resolved)


def parallel(context: Context) -> Child:
    """A command whose process hands mini-batches to the entry script."""
    sent = filled(context, {name: value for name, value in context.sent.items() if name not in ("inputs", "outputs")})
    ran = command(context)
    task = parallel_task.task(context.spec)
    properties = {
        **ran.properties,
        "command": parallel_task.command(sent, context.spec),
        "environmentVariables": {**(task.get("environment_variables") or {}), **ran.properties["environmentVariables"]},
    }
    settings = parallel_task.settings(sent, context.spec, ran.properties["inputs"])
    return Child(properties, {**ran.resolved, "parallel": settings})


def transfer(context: Context) -> Child:
    """A job without a command: its agent copies the data."""
    sent = filled(context, {name: value for name, value in context.sent.items() if name not in ("inputs", "outputs")})
    compute = compute_of(context, sent)
    properties = {
        **base(context, "Command"),
        "command": "",
        "environmentId": "",
        "computeId": compute,
        "inputs": inputs(context),
        "outputs": outputs(context),
    }
    resolved = {"compute": compute, "transfer": data_transfer.settings(sent, context.spec)}
    return Child({name: value for name, value in properties.items() if value is not None}, resolved)


def pipeline(context: Context) -> Child:
    """A pipeline component: a pipeline of its own, under the settings of the one around it."""
    around = {name: context.pipeline[name] for name in ("computeId", "identity") if context.pipeline.get(name)}
    properties = {
        **base(context, "Pipeline"),
        **around,
        "jobs": graph.with_pins(context.spec.get("jobs") or {}, context.pinned["nodes"]),
        "inputs": inputs(context),
        "outputs": outputs(context),
        "settings": {name: value for name, value in context.settings.items() if name != "_source"},
    }
    return Child(properties, {"compute": None, "nodes": context.pinned["nodes"]})


def base(context: Context, kind: str) -> Json:
    """What jobs of every kind have."""
    return {
        "jobType": kind,
        "displayName": str(graph.field(context.sent, "display_name") or context.node),
        "description": context.sent.get("description"),
        "experimentName": context.pipeline.get("experimentName") or "Default",
        "componentId": context.pinned["component"],
        "tags": _texts(context.sent, "tags"),
        "properties": _texts(context.sent, "properties"),
        "isArchived": False,
        "services": {},
    }


def filled(context: Context, value: Any) -> Any:
    """A copy with every reference replaced by the value of what it names."""

    def look(reference: Reference) -> str | None:
        found = None
        if isinstance(reference, InputOf):
            found = context.inputs.get(reference.name)
        elif isinstance(reference, OutputOf):
            found = context.results.get((reference.node, reference.name))
        return None if found is None else str(found.get("value", found.get("uri")))

    return graph.fill(value, look)


def inputs(context: Context) -> Json:
    given = context.sent.get("inputs") or {}
    found: Json = {}
    for name, declared in (context.spec.get("inputs") or {}).items():
        bound = graph.bind(
            given.get(name), declared, context.inputs, lambda wanted: context.results.get((wanted.node, wanted.name))
        )
        if bound is not None:
            found[name] = bound
    return found


def outputs(context: Context) -> Json:
    """The outputs of the job: what the component declares, under what the node and the pipeline say of it."""
    found = {}
    given = context.sent.get("outputs") or {}
    for name, declared in (context.spec.get("outputs") or {}).items():
        found[name] = _output(declared or {}, given.get(name), context)
    return found


def compute_of(context: Context, sent: Json) -> str | None:
    """The compute that the node names, else the pipeline's default; None is serverless."""
    named = graph.field(sent, "compute_id") or sent.get("compute") or context.pinned.get("compute")
    named = named or graph.field(context.settings, "default_compute") or context.pipeline.get("computeId")
    if not named or str(named).rsplit("/", 1)[-1].removeprefix("azureml:").lower() == "serverless":
        return None
    return str(named)


def _services(sent: Json) -> Json:
    """Interactive services, in the names that jobs have for what nodes say of them."""
    names = {"job_service_type": "jobServiceType"}
    return {
        service: {names.get(name, name): value for name, value in said.items()}
        for service, said in sent.items()
        if isinstance(said, dict)
    }


def _output(declared: Json, given: Any, context: Context) -> Json:
    own: Json = given if isinstance(given, dict) else {}
    kind = str(declared.get("type") or "uri_folder").lower()
    if kind in graph.PRIMITIVES:
        return {"jobOutputType": "uri_file"}  # the value is a text that the step writes
    shown: Json = {"jobOutputType": kind, "mode": declared.get("mode"), "uri": declared.get("path")}
    bound = graph.whole(own.get("value") or graph.field(own, "uri"))
    if isinstance(bound, WrittenTo):
        above = (context.pipeline.get("outputs") or {}).get(bound.name) or {}
        for name in ("mode", "uri", "assetName", "assetVersion"):
            shown[name] = above.get(name) or shown.get(name)
    else:
        shown["uri"] = filled(context, graph.field(own, "uri") or own.get("path")) or shown["uri"]
    shown["mode"] = own.get("mode") or shown["mode"]
    for name, source in (("assetName", "asset_name"), ("assetVersion", "asset_version")):
        shown[name] = graph.field(own, source) or shown.get(name)
    if shown["assetName"] is None and own.get("name"):
        shown["assetName"], shown["assetVersion"] = own["name"], own.get("version")
    if shown["mode"]:
        shown["mode"] = graph.mode_name(str(shown["mode"]))
    return {name: value for name, value in shown.items() if value is not None}


def _resources(declared: Json, given: Json) -> Json | None:
    names = {
        "instance_count": "instanceCount",
        "instance_type": "instanceType",
        "shm_size": "shmSize",
        "docker_args": "dockerArgs",
        "properties": "properties",
    }
    found = {camel: _either(graph.field(given, s), graph.field(declared, s)) for s, camel in names.items()}
    if found["instanceCount"] is not None:
        found["instanceCount"] = int(found["instanceCount"])
    return {name: value for name, value in found.items() if value is not None} or None


def _either(first: Any, second: Any) -> Any:
    return second if first is None else first


def _limits(given: Json) -> Json | None:
    timeout = given.get("timeout")
    if timeout is None:
        return None
    seconds = whole_number(timeout)
    return {"jobLimitsType": "Command", "timeout": str(timeout) if seconds is None else f"PT{seconds}S"}


def _distribution(given: Json | None) -> Json | None:
    if not given:
        return None
    kind = str(graph.field(given, "distribution_type") or given.get("type") or "")
    found: Json = {"distributionType": _DISTRIBUTIONS.get(kind.lower(), kind)}
    for snake, camel in (
        ("process_count_per_instance", "processCountPerInstance"),
        ("worker_count", "workerCount"),
        ("parameter_server_count", "parameterServerCount"),
    ):
        value = graph.field(given, snake)
        if value is not None:
            found[camel] = int(value)
    return found


def _identity(given: Json) -> Json | None:
    kind = graph.field(given, "identity_type") or given.get("type")
    return {"identityType": _IDENTITIES.get(str(kind), str(kind))} if kind else None


def _queue(given: Json) -> Json | None:
    tier, priority = graph.field(given, "job_tier"), given.get("priority")
    found = {"jobTier": str(tier).capitalize() if tier else None, "priority": priority}
    return {name: value for name, value in found.items() if value is not None} or None


def _object(sent: Json, name: str) -> Json:
    found = graph.field(sent, name)
    return found if isinstance(found, dict) else {}


def _texts(sent: Json, name: str) -> Json:
    return {str(k): "" if v is None else str(v) for k, v in _object(sent, name).items()}


#: What makes a node of each kind into a job.
BUILDERS: dict[str, Callable[[Context], Child]] = {
    "command": command,
    "data_transfer": transfer,
    "parallel": parallel,
    "pipeline": pipeline,
    "sweep": sweep,
}
