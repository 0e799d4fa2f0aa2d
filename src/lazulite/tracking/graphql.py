"""`graphql`: the queries of MLflow's pages, answered by the handlers of the REST API.

The types are those of MLflow's own schema, as far as its pages ask for them. The engine, graphql-core, is an extra.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from lazulite.core.errors import ApiError
from lazulite.core.extras import install_command
from lazulite.core.web import json_body
from lazulite.tracking import artifacts, experiments, metrics, model_versions, run_search, runs
from lazulite.tracking.call import Call
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import error, invalid
from lazulite.tracking.fields import Fields

if TYPE_CHECKING:
    from graphql import DocumentNode, GraphQLSchema

#: What one request may ask for. MLflow's own pages stay far below.
_MOST_TOKENS, _MOST_ROOT_FIELDS = 2000, 10

_SDL = """
directive @component(name: String!) on QUERY | MUTATION
scalar LongString
enum MlflowViewType { ACTIVE_ONLY DELETED_ONLY ALL }

type Query {
  mlflowGetExperiment(input: MlflowGetExperimentInput): MlflowGetExperimentResponse
  mlflowGetRun(input: MlflowGetRunInput): MlflowGetRunResponse
  mlflowSearchRuns(input: MlflowSearchRunsInput): MlflowSearchRunsResponse
  mlflowListArtifacts(input: MlflowListArtifactsInput): MlflowListArtifactsResponse
  mlflowSearchModelVersions(input: MlflowSearchModelVersionsInput): MlflowSearchModelVersionsResponse
  mlflowGetMetricHistoryBulkInterval(
    input: MlflowGetMetricHistoryBulkIntervalInput
  ): MlflowGetMetricHistoryBulkIntervalResponse
}
type Mutation {
  mlflowSearchRuns(input: MlflowSearchRunsInput): MlflowSearchRunsResponse
  mlflowSearchDatasets(input: MlflowSearchDatasetsInput): MlflowSearchDatasetsResponse
}

input MlflowGetExperimentInput { experimentId: String }
input MlflowGetRunInput { runId: String, runUuid: String }
input MlflowSearchRunsInput {
  experimentIds: [String], filter: String, runViewType: MlflowViewType
  maxResults: Int, orderBy: [String], pageToken: String
}
input MlflowListArtifactsInput { runId: String, runUuid: String, path: String, pageToken: String }
input MlflowSearchModelVersionsInput { filter: String, maxResults: LongString, orderBy: [String], pageToken: String }
input MlflowGetMetricHistoryBulkIntervalInput {
  runIds: [String], metricKey: String, startStep: Int, endStep: Int, maxResults: Int
}
input MlflowSearchDatasetsInput { experimentIds: [String] }

type MlflowGetExperimentResponse { experiment: MlflowExperiment, apiError: ApiError }
type MlflowGetRunResponse { run: MlflowRun, apiError: ApiError }
type MlflowSearchRunsResponse { runs: [MlflowRun!], nextPageToken: String, apiError: ApiError }
type MlflowListArtifactsResponse { rootUri: String, files: [MlflowFileInfo!], nextPageToken: String, apiError: ApiError }
type MlflowSearchModelVersionsResponse {
  modelVersions: [MlflowModelVersion!], nextPageToken: String, apiError: ApiError
}
type MlflowGetMetricHistoryBulkIntervalResponse { metrics: [MlflowMetricWithRunId!], apiError: ApiError }
type MlflowSearchDatasetsResponse { datasetSummaries: [MlflowDatasetSummary!], apiError: ApiError }

type ApiError { code: String, message: String, helpUrl: String, traceId: String }
type KeyValue { key: String, value: String }
type MlflowExperiment {
  experimentId: String, name: String, artifactLocation: String, lifecycleStage: String, lastUpdateTime: LongString
  creationTime: LongString, tags: [KeyValue!], effectiveTraceArchivalRetention: String, workspace: String
}
type MlflowRun {
  info: MlflowRunInfo, data: MlflowRunData, inputs: MlflowRunInputs, outputs: MlflowRunOutputs
  experiment: MlflowExperiment, modelVersions: [MlflowModelVersion!]
}
type MlflowRunInfo {
  runId: String, runUuid: String, runName: String, experimentId: String, userId: String, status: String
  startTime: LongString, endTime: LongString, artifactUri: String, lifecycleStage: String
}
type MlflowRunData { metrics: [MlflowMetric!], params: [KeyValue!], tags: [KeyValue!] }
type MlflowMetric {
  key: String, value: Float, timestamp: LongString, step: LongString
  datasetName: String, datasetDigest: String, modelId: String, runId: String
}
type MlflowMetricWithRunId { key: String, value: Float, timestamp: LongString, step: LongString, runId: String }
type MlflowRunInputs { datasetInputs: [MlflowDatasetInput!], modelInputs: [MlflowModelInput!] }
type MlflowDatasetInput { tags: [KeyValue!], dataset: MlflowDataset }
type MlflowDataset {
  name: String, digest: String, sourceType: String, source: String, schema: String, profile: String
}
type MlflowModelInput { modelId: String }
type MlflowRunOutputs { modelOutputs: [MlflowModelOutput!] }
type MlflowModelOutput { modelId: String, step: LongString }
type MlflowFileInfo { path: String, isDir: Boolean, fileSize: LongString }
type MlflowDatasetSummary { experimentId: String, name: String, digest: String, context: String }
type MlflowModelVersion {
  name: String, version: String, creationTimestamp: LongString, lastUpdatedTimestamp: LongString, userId: String
  currentStage: String, description: String, source: String, runId: String, status: String, statusMessage: String
  tags: [KeyValue!], runLink: String, aliases: [String], modelId: String
  modelParams: [MlflowModelParam!], modelMetrics: [MlflowMetric!]
}
type MlflowModelParam { name: String, value: String }
"""


async def answer(call: Call) -> Json:
    """`{"query", "variables", "operationName"}` -> `{"data", "errors"}`. Raises ApiError 400, and 501 without the extra.

    A refusal by a handler is no error of the query: it stands in the answer's `apiError`.
    """
    try:
        from graphql import execute, validate
    except ImportError:
        raise error(
            "NOT_IMPLEMENTED", f"GraphQL needs an extra of the server: {install_command('mlflow-ui')}"
        ) from None
    asked = await json_body(call.request)
    document = _parsed(asked.get("query"))
    variables, operation = asked.get("variables"), asked.get("operationName")
    if not isinstance(variables, dict | None) or not isinstance(operation, str | None):
        raise invalid("'variables' must be an object and 'operationName' a string.")
    schema = _schema()
    if wrong := validate(schema, document):
        return {"errors": [one.formatted for one in wrong]}
    result = execute(
        schema,
        document,
        context_value=_Asked(call),
        variable_values=variables,
        operation_name=operation,
        field_resolver=_by_its_rest_name,
    )
    found = await result if isinstance(result, Awaitable) else result
    return dict(found.formatted)


@dataclass
class _Asked:
    """One request. What many runs have in common is read once for all of them."""

    call: Call
    run_ids: list[str] = field(default_factory=list)
    shared: dict[str, asyncio.Task[Json]] = field(default_factory=dict)

    async def rest(self, handler: Callable[[Call], Awaitable[Json]], values: Json) -> Json:
        """What the REST API answers to the same fields."""
        try:
            return await handler(replace(self.call, fields=Fields(values)))
        except ApiError as refusal:
            return {"api_error": {"code": refusal.code, "message": refusal.message}}

    async def once(self, key: str, handler: Callable[[Call], Awaitable[Json]], values: Json) -> Json:
        if key not in self.shared:
            self.shared[key] = asyncio.ensure_future(self.rest(handler, values))
        return await self.shared[key]


def _parsed(query: Any) -> DocumentNode:
    """Raises ApiError 400 where the text is no query, or asks for too much."""
    from graphql import GraphQLSyntaxError, OperationDefinitionNode, parse

    if not isinstance(query, str):
        raise invalid("The body must hold the text of a query under 'query'.")
    try:
        document = parse(query, max_tokens=_MOST_TOKENS)
    except (GraphQLSyntaxError, RecursionError) as wrong:
        raise invalid(f"The query cannot be read: {wrong}") from None
    for definition in document.definitions:
        selected = definition.selection_set.selections if isinstance(definition, OperationDefinitionNode) else ()
        if len(selected) > _MOST_ROOT_FIELDS:
            raise invalid(f"A query may ask for {_MOST_ROOT_FIELDS} things at once, and not for {len(selected)}.")
    return document


@cache
def _schema() -> GraphQLSchema:
    from graphql import GraphQLObjectType, build_schema

    schema = build_schema(_SDL)
    for type_name, resolvers in _RESOLVERS.items():
        type_ = schema.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        for name, resolver in resolvers.items():
            type_.fields[name].resolve = resolver
    return schema


def _root(handler: Callable[[Call], Awaitable[Json]]) -> Callable[..., Awaitable[Json]]:
    async def resolve(_source: Any, info: Any, **arguments: Any) -> Json:
        given = arguments.get("input") or {}
        found: Json = await info.context.rest(handler, {_rest_name(name): value for name, value in given.items()})
        listed = [*found.get("runs", ()), *([found["run"]] if "run" in found else [])]
        info.context.run_ids += [run["info"]["run_id"] for run in listed]
        return found

    return resolve


async def _experiment(run: Json, info: Any) -> Any:
    wanted = run["info"]["experiment_id"]
    found = await info.context.once(f"experiment {wanted}", experiments.get, {"experiment_id": wanted})
    return found.get("experiment")


async def _model_versions(run: Json, info: Any) -> list[Json]:
    listed = ", ".join(f"'{run_id}'" for run_id in info.context.run_ids)
    found = await info.context.once("versions", model_versions.search, {"filter": f"run_id IN ({listed})"})
    return [version for version in found.get("model_versions", ()) if version["run_id"] == run["info"]["run_id"]]


def _value(point: Json, _info: Any) -> float | None:
    """GraphQL has no word for what is not a number, and REST spells it as text."""
    value = point["value"]
    return value if not isinstance(value, str) and math.isfinite(value) else None


def _by_its_rest_name(source: Any, info: Any, **_arguments: Any) -> Any:
    value = source.get(_rest_name(info.field_name))
    # JavaScript would round a long.
    return str(value) if value is not None and str(info.return_type) == "LongString" else value


def _rest_name(name: str) -> str:
    return re.sub(r"[A-Z]", lambda capital: f"_{capital[0].lower()}", name)


_RESOLVERS: dict[str, dict[str, Callable[..., Any]]] = {
    "Query": {
        "mlflowGetExperiment": _root(experiments.get),
        "mlflowGetRun": _root(runs.get),
        "mlflowSearchRuns": _root(run_search.search),
        "mlflowListArtifacts": _root(artifacts.list_of_run),
        "mlflowSearchModelVersions": _root(model_versions.search),
        "mlflowGetMetricHistoryBulkInterval": _root(metrics.get_history_bulk_interval),
    },
    "Mutation": {
        "mlflowSearchRuns": _root(run_search.search),
        "mlflowSearchDatasets": _root(experiments.search_datasets),
    },
    "MlflowRun": {"experiment": _experiment, "modelVersions": _model_versions},
    "MlflowMetric": {"value": _value},
    "MlflowMetricWithRunId": {"value": _value},
}
