"""Every path of MLflow's REST API, who may call it and what answers."""

from __future__ import annotations

from starlette.responses import PlainTextResponse

from lazulite.core import web
from lazulite.core.errors import ApiError
from lazulite.core.web import AUTHENTICATED, WORKSPACE, Route
from lazulite.tracking import (
    artifacts,
    assessments,
    direct_artifacts,
    evaluation_datasets,
    experiments,
    graphql,
    issues,
    label_schemas,
    logged_models,
    logging,
    metrics,
    model_versions,
    page_facts,
    registered_models,
    review_queues,
    run_search,
    runs,
    scorers,
    trace_ingest,
    trace_metrics,
    traces,
    webhooks,
)
from lazulite.tracking import webhook_events as events
from lazulite.tracking.call import Call, Handler, Surface, TrackingContext, endpoint, raw
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import error, render
from lazulite.tracking.webhook_events import announced

_PREFIX = "Microsoft.MachineLearningServices/workspaces"
EXPERIMENT_READ, EXPERIMENT_WRITE = f"{_PREFIX}/experiments/read", f"{_PREFIX}/experiments/write"
EXPERIMENT_DELETE = f"{_PREFIX}/experiments/delete"
RUN_READ, RUN_WRITE = f"{_PREFIX}/experiments/runs/read", f"{_PREFIX}/experiments/runs/write"
MODEL_READ, MODEL_WRITE, MODEL_DELETE = (f"{_PREFIX}/models/{verb}" for verb in ("read", "write", "delete"))

#: Vanilla clients, and the azureml-mlflow plugin, whose runs have artifact addresses of its own kind.
SURFACES = (
    Surface("/mlflow/rest", plugin=False),
    Surface("/mlflow/v2.0", plugin=True),
    Surface("/mlflow/v1.0", plugin=True),
)
#: The version of MLflow's server whose API this is: what clients choose their calls by.
API_LEVEL = "3.17.0"
_BODY_LIMIT = 16 * 1024 * 1024
_UPLOAD_LIMIT = 1 << 46

_Entry = tuple[str, str, str, Handler]


async def server_info(_call: Call) -> Json:
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": False,
        "multipart_downloads_enabled": False,
    }


async def version(_call: Call) -> PlainTextResponse:
    return PlainTextResponse(API_LEVEL)


async def health(_call: Call) -> PlainTextResponse:
    return PlainTextResponse("OK")


async def not_built(call: Call) -> Json:
    raise _not_built(call)


async def unknown(call: Call) -> Json:
    path = call.request.url.path
    raise error("ENDPOINT_NOT_FOUND", f"No endpoint of MLflow's REST API is at {call.request.method} {path}.")


#: Below `api/2.0/mlflow/`.
TABLE: tuple[_Entry, ...] = (
    ("POST", "experiments/create", EXPERIMENT_WRITE, experiments.create),
    ("GET", "experiments/get", EXPERIMENT_READ, experiments.get),
    ("GET", "experiments/get-by-name", EXPERIMENT_READ, experiments.get_by_name),
    ("GET", "experiments/list", EXPERIMENT_READ, experiments.search),
    ("GET", "experiments/search", EXPERIMENT_READ, experiments.search),
    ("POST", "experiments/search", EXPERIMENT_READ, experiments.search),
    ("POST", "experiments/update", EXPERIMENT_WRITE, experiments.update),
    ("POST", "experiments/delete", EXPERIMENT_DELETE, experiments.delete),
    ("POST", "experiments/restore", EXPERIMENT_WRITE, experiments.restore),
    ("POST", "experiments/set-experiment-tag", EXPERIMENT_WRITE, experiments.set_tag),
    ("POST", "experiments/delete-experiment-tag", EXPERIMENT_WRITE, experiments.delete_tag),
    ("POST", "experiments/search-datasets", EXPERIMENT_READ, experiments.search_datasets),
    ("POST", "runs/create", RUN_WRITE, runs.create),
    ("GET", "runs/get", RUN_READ, runs.get),
    ("POST", "runs/update", RUN_WRITE, runs.update),
    ("POST", "runs/delete", RUN_WRITE, runs.delete),
    ("POST", "runs/restore", RUN_WRITE, runs.restore),
    ("POST", "runs/search", RUN_READ, run_search.search),
    ("POST", "runs/set-tag", RUN_WRITE, runs.set_tag),
    ("POST", "runs/delete-tag", RUN_WRITE, runs.delete_tag),
    ("POST", "runs/log-metric", RUN_WRITE, logging.log_metric),
    ("POST", "runs/log-parameter", RUN_WRITE, logging.log_param),
    ("POST", "runs/log-batch", RUN_WRITE, logging.log_batch),
    ("POST", "runs/log-batch-async", RUN_WRITE, logging.log_batch),
    ("POST", "runs/log-inputs", RUN_WRITE, logging.log_inputs),
    ("POST", "runs/outputs", RUN_WRITE, logging.log_outputs),
    ("POST", "runs/log-model", RUN_WRITE, logging.log_model),
    ("GET", "metrics/get-history", RUN_READ, metrics.get_history),
    ("GET", "metrics/get-history-bulk", RUN_READ, metrics.get_history_bulk),
    ("GET", "metrics/get-history-bulk-interval", RUN_READ, metrics.get_history_bulk_interval),
    ("GET", "artifacts/list", RUN_READ, artifacts.list_of_run),
    ("POST", "artifacts/presigned-upload-url", RUN_WRITE, direct_artifacts.upload_url),
    ("POST", "artifacts/presigned-download-url", RUN_READ, direct_artifacts.download_url),
    ("POST", "logged-models", RUN_WRITE, logged_models.create),
    ("POST", "logged-models/search", RUN_READ, logged_models.search),
    ("GET", "logged-models/{model_id}", RUN_READ, logged_models.get),
    ("PATCH", "logged-models/{model_id}", RUN_WRITE, logged_models.finish),
    ("DELETE", "logged-models/{model_id}", RUN_WRITE, logged_models.delete),
    ("PATCH", "logged-models/{model_id}/tags", RUN_WRITE, logged_models.set_tags),
    ("DELETE", "logged-models/{model_id}/tags/{tag_key}", RUN_WRITE, logged_models.delete_tag),
    ("POST", "logged-models/{model_id}/params", RUN_WRITE, logged_models.log_params),
    ("GET", "logged-models/{model_id}/artifacts/directories", RUN_READ, artifacts.list_of_model),
    ("POST", "registered-models/create", MODEL_WRITE, announced(registered_models.create, events.model_created)),
    ("GET", "registered-models/get", MODEL_READ, registered_models.get),
    ("PATCH", "registered-models/update", MODEL_WRITE, registered_models.update),
    ("POST", "registered-models/rename", MODEL_WRITE, registered_models.rename),
    ("DELETE", "registered-models/delete", MODEL_DELETE, registered_models.delete),
    ("GET", "registered-models/search", MODEL_READ, registered_models.search),
    ("GET", "registered-models/list", MODEL_READ, registered_models.search),
    ("POST", "registered-models/get-latest-versions", MODEL_READ, registered_models.latest_versions),
    ("GET", "registered-models/get-latest-versions", MODEL_READ, registered_models.latest_versions),
    ("POST", "registered-models/set-tag", MODEL_WRITE, announced(registered_models.set_tag, events.model_tag("set"))),
    (
        "DELETE",
        "registered-models/delete-tag",
        MODEL_WRITE,
        announced(registered_models.delete_tag, events.model_tag("deleted")),
    ),
    ("POST", "registered-models/alias", MODEL_WRITE, announced(registered_models.set_alias, events.alias("created"))),
    ("GET", "registered-models/alias", MODEL_READ, registered_models.get_by_alias),
    (
        "DELETE",
        "registered-models/alias",
        MODEL_WRITE,
        announced(registered_models.delete_alias, events.alias("deleted")),
    ),
    ("POST", "model-versions/create", MODEL_WRITE, announced(model_versions.create, events.version_created)),
    ("GET", "model-versions/get", MODEL_READ, model_versions.get),
    ("PATCH", "model-versions/update", MODEL_WRITE, model_versions.update),
    ("DELETE", "model-versions/delete", MODEL_DELETE, model_versions.delete),
    ("GET", "model-versions/search", MODEL_READ, model_versions.search),
    ("GET", "model-versions/get-download-uri", MODEL_READ, model_versions.get_download_uri),
    ("POST", "model-versions/transition-stage", MODEL_WRITE, model_versions.transition_stage),
    ("POST", "model-versions/set-tag", MODEL_WRITE, announced(model_versions.set_tag, events.version_tag("set"))),
    (
        "DELETE",
        "model-versions/delete-tag",
        MODEL_WRITE,
        announced(model_versions.delete_tag, events.version_tag("deleted")),
    ),
    ("POST", "webhooks", MODEL_WRITE, webhooks.create),
    ("GET", "webhooks", MODEL_READ, webhooks.page),
    ("GET", "webhooks/{webhook_id}", MODEL_READ, webhooks.get),
    ("PATCH", "webhooks/{webhook_id}", MODEL_WRITE, webhooks.update),
    ("DELETE", "webhooks/{webhook_id}", MODEL_WRITE, webhooks.delete),
    ("POST", "webhooks/{webhook_id}/test", MODEL_WRITE, webhooks.test),
)
#: Below `api/2.0/mlflow/` and `api/3.0/mlflow/` alike.
TRACES: tuple[_Entry, ...] = (
    ("GET", "traces/get", RUN_READ, traces.get),
    ("GET", "traces/batchGet", RUN_READ, traces.get_many),
    ("POST", "traces/batchGetInfos", RUN_READ, traces.get_infos),
    ("POST", "traces/search", RUN_READ, traces.search),
    ("POST", "traces/calculate-filter-correlation", RUN_READ, traces.correlate),
    ("POST", "traces/delete-traces", RUN_WRITE, traces.delete),
    ("POST", "traces/link-to-run", RUN_WRITE, traces.link_to_run),
    ("POST", "traces/link-prompts", RUN_WRITE, traces.link_prompts),
    ("GET", "traces/{trace_id}/info", RUN_READ, traces.get_old),
    ("PATCH", "traces/{trace_id}/tags", RUN_WRITE, traces.set_tag),
    ("DELETE", "traces/{trace_id}/tags", RUN_WRITE, traces.delete_tag),
    ("POST", "traces/{trace_id}/assessments", RUN_WRITE, assessments.create),
    ("GET", "traces/{trace_id}/assessments/{assessment_id}", RUN_READ, assessments.get),
    ("PATCH", "traces/{trace_id}/assessments/{assessment_id}", RUN_WRITE, assessments.update),
    ("DELETE", "traces/{trace_id}/assessments/{assessment_id}", RUN_WRITE, assessments.delete),
)
#: Where the two differ.
OLD_TRACES: tuple[_Entry, ...] = (
    ("POST", "traces", RUN_WRITE, traces.start_old),
    ("GET", "traces", RUN_READ, traces.search_old),
    ("PATCH", "traces/{trace_id}", RUN_WRITE, traces.end_old),
)
NEW_TRACES: tuple[_Entry, ...] = (
    ("POST", "traces", RUN_WRITE, traces.start),
    ("GET", "traces/{trace_id}", RUN_READ, traces.get_info),
)
#: Files in and out, for MLflow's pages.
FILES: tuple[_Entry, ...] = (
    ("GET", "get-trace-artifact", RUN_READ, traces.get_artifact),
    ("GET", "logged-models/{model_id}/artifacts/files", RUN_READ, artifacts.get_artifact_of_model),
    ("POST", "upload-artifact", RUN_WRITE, artifacts.upload_to_run),
)
#: Below `api/3.0/mlflow/` alone.
EVALUATION: tuple[_Entry, ...] = (
    ("POST", "traces/metrics", RUN_READ, trace_metrics.query),
    ("POST", "datasets/create", EXPERIMENT_WRITE, evaluation_datasets.create),
    ("GET", "datasets/search", EXPERIMENT_READ, evaluation_datasets.search),
    ("POST", "datasets/search", EXPERIMENT_READ, evaluation_datasets.search),
    ("GET", "datasets/{dataset_id}", EXPERIMENT_READ, evaluation_datasets.get),
    ("DELETE", "datasets/{dataset_id}", EXPERIMENT_WRITE, evaluation_datasets.delete),
    ("PATCH", "datasets/{dataset_id}/tags", EXPERIMENT_WRITE, evaluation_datasets.set_tags),
    ("DELETE", "datasets/{dataset_id}/tags/{key}", EXPERIMENT_WRITE, evaluation_datasets.delete_tag),
    ("GET", "datasets/{dataset_id}/experiment-ids", EXPERIMENT_READ, evaluation_datasets.experiment_ids),
    ("POST", "datasets/{dataset_id}/add-experiments", EXPERIMENT_WRITE, evaluation_datasets.add_experiments),
    ("POST", "datasets/{dataset_id}/remove-experiments", EXPERIMENT_WRITE, evaluation_datasets.remove_experiments),
    ("GET", "datasets/{dataset_id}/records", EXPERIMENT_READ, evaluation_datasets.get_records),
    ("POST", "datasets/{dataset_id}/records", EXPERIMENT_WRITE, evaluation_datasets.put_records),
    ("DELETE", "datasets/{dataset_id}/records", EXPERIMENT_WRITE, evaluation_datasets.delete_records),
    ("POST", "scorers/register", EXPERIMENT_WRITE, scorers.register),
    ("GET", "scorers/list", EXPERIMENT_READ, scorers.newest),
    ("GET", "scorers/versions", EXPERIMENT_READ, scorers.versions),
    ("GET", "scorers/get", EXPERIMENT_READ, scorers.get),
    ("DELETE", "scorers/delete", EXPERIMENT_WRITE, scorers.delete),
    ("GET", "scorers/online-configs", EXPERIMENT_READ, scorers.online_configs),
    ("POST", "issues", EXPERIMENT_WRITE, issues.create),
    ("POST", "issues/search", EXPERIMENT_READ, issues.search),
    ("GET", "issues/{issue_id}", EXPERIMENT_READ, issues.get),
    ("PATCH", "issues/{issue_id}", EXPERIMENT_WRITE, issues.update),
    ("POST", "label-schemas/create", EXPERIMENT_WRITE, label_schemas.create),
    ("GET", "label-schemas/get", EXPERIMENT_READ, label_schemas.get),
    ("GET", "label-schemas/get-by-name", EXPERIMENT_READ, label_schemas.get_by_name),
    ("GET", "label-schemas/list", EXPERIMENT_READ, label_schemas.page),
    ("PATCH", "label-schemas/update", EXPERIMENT_WRITE, label_schemas.update),
    ("DELETE", "label-schemas/delete", EXPERIMENT_WRITE, label_schemas.delete),
    ("POST", "review-queues/create", EXPERIMENT_WRITE, review_queues.create),
    ("POST", "review-queues/get-or-create-user", EXPERIMENT_WRITE, review_queues.of_user),
    ("GET", "review-queues/get", EXPERIMENT_READ, review_queues.get),
    ("GET", "review-queues/get-by-name", EXPERIMENT_READ, review_queues.get_by_name),
    ("GET", "review-queues/list", EXPERIMENT_READ, review_queues.page),
    ("POST", "review-queues/update", EXPERIMENT_WRITE, review_queues.update),
    ("POST", "review-queues/delete", EXPERIMENT_WRITE, review_queues.delete),
    ("POST", "review-queues/items/add", EXPERIMENT_WRITE, review_queues.add_items),
    ("POST", "review-queues/items/remove", EXPERIMENT_WRITE, review_queues.remove_items),
    ("GET", "review-queues/items/list", EXPERIMENT_READ, review_queues.items),
    ("POST", "review-queues/items/set-status", EXPERIMENT_WRITE, review_queues.set_status),
)
#: What MLflow's pages ask about the server.
PAGE_FACTS = (
    ("GET", "3.0/mlflow/ui-telemetry", page_facts.telemetry),
    ("POST", "3.0/mlflow/ui-telemetry", page_facts.telemetry),
    ("GET", "3.0/mlflow/assistant/config", page_facts.assistant_config),
    ("GET", "3.0/mlflow/assistant/providers", page_facts.assistant_providers),
    ("GET", "2.0/mlflow/gateway-proxy", page_facts.gateway_proxy),
    ("POST", "2.0/mlflow/gateway-proxy", page_facts.gateway_proxy),
)
#: What the newest clients know and this version does not do: the first words below `mlflow/`.
NOT_BUILT = (
    "gateway", "get-online-trace-details", "prompt-optimization", "scorers/online-config",
    "unified-traces", "workspaces",
)  # fmt: skip
#: The same, of what only MLflow's pages call.
PAGES_NOT_BUILT = ("runs/create-promptlab-run",)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def routes(context: TrackingContext) -> list[Route]:
    """MLflow's REST API for every workspace, under each of `SURFACES`."""
    return [route for surface in SURFACES for route in _of_surface(context, surface)]


def _of_surface(context: TrackingContext, surface: Surface) -> list[Route]:
    root = f"{surface.prefix}{WORKSPACE}"
    plain: tuple[_Entry, ...] = (
        ("GET", "version", AUTHENTICATED, version),
        ("GET", "health", AUTHENTICATED, health),
        ("GET", "get-artifact", RUN_READ, artifacts.get_artifact),
        ("GET", "model-versions/get-artifact", MODEL_READ, artifacts.get_artifact_of_version),
        ("POST", "graphql", RUN_READ, graphql.answer),
        ("POST", "v1/traces", RUN_WRITE, trace_ingest.export),
        *((method, "{rest:path}", AUTHENTICATED, unknown) for method in _METHODS),
    )
    found = [_route(method, root, path, permission, raw(context, surface, h)) for method, path, permission, h in plain]
    for api in ("api",) if surface.plugin else ("api", "ajax-api"):
        found += _of_api(context, surface, f"{root}/{api}")
    return found


def _of_api(context: TrackingContext, surface: Surface, root: str) -> list[Route]:
    service, nothing = f"{root}/2.0/mlflow", raw(context, surface, not_built)
    found = [_route(method, service, path, may, endpoint(context, surface, h)) for method, path, may, h in TABLE]
    newer = f"{root}/3.0/mlflow"
    for level, more in ((service, OLD_TRACES), (newer, (*NEW_TRACES, *EVALUATION))):
        entries = (*TRACES, *more)
        found += [_route(method, level, path, may, endpoint(context, surface, h)) for method, path, may, h in entries]
    # Clients before 2.0 call the registry a preview.
    preview, registry = f"{root}/2.0/preview/mlflow", ("registered-models/", "model-versions/")
    found += [
        _route(method, preview, path, may, endpoint(context, surface, h))
        for method, path, may, h in TABLE
        if path.startswith(registry)
    ]
    found += [
        _route(method, service, path, may, raw(context, surface, handler)) for method, path, may, handler in FILES
    ]
    found.append(_route("GET", newer, "get-trace-artifact", RUN_READ, raw(context, surface, traces.get_artifact)))
    found.append(_route("GET", newer, "server-info", AUTHENTICATED, raw(context, surface, server_info)))
    found += [
        _route(method, root, path, AUTHENTICATED, raw(context, surface, handler))
        for method, path, handler in PAGE_FACTS
    ]
    found += [
        _route(method, level, f"{path}{tail}", RUN_READ, nothing)
        for level in (service, newer)
        for path in (*NOT_BUILT, *PAGES_NOT_BUILT)
        for method in _METHODS
        for tail in ("", "/{rest:path}")
    ]
    return found + _artifact_routes(context, surface, f"{root}/2.0/mlflow-artifacts")


def _artifact_routes(context: TrackingContext, surface: Surface, root: str) -> list[Route]:
    entries: tuple[_Entry, ...] = (
        ("GET", "artifacts", RUN_READ, artifacts.list_proxied),
        ("GET", "artifacts/{artifact_path:path}", RUN_READ, artifacts.download),
        ("PUT", "artifacts/{artifact_path:path}", RUN_WRITE, artifacts.upload),
        ("DELETE", "artifacts/{artifact_path:path}", RUN_WRITE, artifacts.delete),
        ("POST", "mpu/create/{artifact_path:path}", RUN_WRITE, direct_artifacts.create),
        ("POST", "mpu/complete/{artifact_path:path}", RUN_WRITE, direct_artifacts.complete),
        ("POST", "mpu/abort/{artifact_path:path}", RUN_WRITE, direct_artifacts.abort),
        ("POST", "mpu/create", RUN_WRITE, direct_artifacts.create),
        ("POST", "mpu/complete", RUN_WRITE, direct_artifacts.complete),
        ("POST", "mpu/abort", RUN_WRITE, direct_artifacts.abort),
        ("GET", "presigned/{artifact_path:path}", RUN_READ, direct_artifacts.presigned),
    )
    return [
        _route(method, root, path, may, raw(context, surface, h), _UPLOAD_LIMIT) for method, path, may, h in entries
    ]


def _route(method: str, root: str, path: str, permission: str, handler: web.Handler, limit: int = _BODY_LIMIT) -> Route:
    return Route(method, f"{root}/{path}", permission, handler, f"MLflow.{path}", render, limit)


def _not_built(call: Call) -> ApiError:
    return error(
        "NOT_IMPLEMENTED",
        f"{call.request.method} {call.request.url.path} is not built in this version of Lazulite.",
    )
