"""`traces/*`: what an application did, as clients log, read, tag and delete it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy.engine import Connection
from starlette.responses import Response

from lazulite.core.errors import ApiError
from lazulite.store import traces as store
from lazulite.store.artifacts import ARTIFACT_DATASTORE, NoSuchArtifact
from lazulite.store.trace_tables import traces
from lazulite.store.traces import Trace
from lazulite.tracking import assessments, trace_search
from lazulite.tracking.call import Call
from lazulite.tracking.conditions import next_token, page_limits
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import does_not_exist, error, invalid
from lazulite.tracking.fields import MAX_TAG_VALUE, Fields, check_length, check_name, missing, shortened
from lazulite.tracking.trace_documents import (
    FINALIZED,
    LOCATION_TAG,
    duration_ms,
    milliseconds,
    old_infos,
    span_file,
    trace_infos,
    with_spans,
)
from lazulite.tracking.trace_search import PROMPTS_TAG, TRACES

STATES = ("STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS")
MOST_LINKED = 100
MAX_PREVIEW = 10_000
_FOLDER = "MLflowArtifacts"


async def start(call: Call) -> Json:
    """Say all there is to say of a trace, whether or not its spans came before."""
    sent = _object(call.fields, "trace")
    info = Fields(_object(sent, "trace_info").values)
    trace_id, state = info.text("trace_id"), info.maybe_text("state") or STATES[0]
    if state not in STATES:
        raise invalid(f"Invalid value '{state}' for parameter 'state' supplied: there is {', '.join(STATES)}.")
    values: dict[str, Any] = {
        "request_ms": milliseconds("request_time", info.values.get("request_time")),
        "duration_ms": duration_ms("execution_duration", info.values.get("execution_duration")),
        "state": state,
        "client_request_id": info.maybe_text("client_request_id"),
        "finalized": True,
        **{name: text for name in ("request_preview", "response_preview") if (text := _preview(info, name))},
    }
    tags, metadata = _map(info, "tags"), _map(info, "trace_metadata")
    judged = [assessments.from_sent(Fields(item.values), trace_id) for item in info.objects("assessments")]
    experiment_id = _experiment_of(info)

    def write(c: Connection) -> Json:
        experiment = call.experiment(c, experiment_id, write=True)
        if experiment.lifecycle != "active":
            raise invalid(
                f"The experiment {experiment.id} must be in the 'active' state. Current state is {experiment.lifecycle}."
            )
        trace = make(c, call, trace_id, experiment.number, **values)
        store.set_tags(c, trace.number, {k: v for k, v in tags.items() if k != LOCATION_TAG})
        store.set_metadata(c, trace.number, {k: v for k, v in metadata.items() if k != FINALIZED})
        for one in judged:
            store.put_assessment(c, trace.number, one)
        return {"trace": {"trace_info": trace_infos(c, [_trace(c, call, trace_id)])[0]}}

    return await call.write(write)


async def get_info(call: Call) -> Json:
    trace_id = _id(call)
    return await call.read(lambda c: {"trace": {"trace_info": trace_infos(c, [_trace(c, call, trace_id)])[0]}})


async def get(call: Call) -> Json:
    """A trace with its spans; without `allow_partial` only one that has ended."""
    trace_id = call.fields.text("trace_id")
    partial = call.fields.maybe_text("allow_partial") == "true"

    def read(c: Connection) -> Json:
        found = store.get(c, call.workspace, trace_id)
        if found is None:
            raise does_not_exist(f"Trace with ID {trace_id} is not found.")
        document = with_spans(c, [found])[0]
        if not partial and not document["spans"]:
            raise does_not_exist(f"Trace with ID {trace_id} is not fully exported yet, please try again later.")
        return {"trace": document}

    return await call.read(read)


async def get_many(call: Call) -> Json:
    return await call.read(lambda c: {"traces": with_spans(c, _wanted(c, call))})


async def get_infos(call: Call) -> Json:
    return await call.read(lambda c: {"trace_infos": trace_infos(c, _wanted(c, call))})


async def search(call: Call) -> Json:
    if "locations" not in call.fields:
        raise missing("locations")
    places = call.fields.objects("locations")
    if not places:
        return {"traces": []}
    ids = [_object(place, "mlflow_experiment").text("experiment_id") for place in places]
    return await _search(call, ids, trace_infos)


async def correlate(call: Call) -> Json:
    """How often two filters hold for the same traces: normalised pointwise mutual information, -1 to 1."""
    fields = call.fields
    ids = fields.texts("experiment_ids")
    base = TRACES.parse(fields.maybe_text("base_filter"))
    first, second = (TRACES.parse(fields.text(f"filter_string{n}")) for n in (1, 2))

    def read(c: Connection) -> Json:
        one, two, both, total = (
            trace_search.count(c, call.workspace, ids, [*base, *more])
            for more in (first, second, [*first, *second], [])
        )
        document: Json = {"filter1_count": one, "filter2_count": two, "joint_count": both, "total_count": total}
        if one and two and total:
            document["npmi"] = _npmi(both, one, two, total)
            # The same with half a trace added to each of the four cells, which few traces need.
            document["npmi_smoothed"] = _npmi(both + 0.5, one + 1, two + 1, total + 2)
        return document

    return await call.read(read)


async def set_tag(call: Call) -> Json:
    trace_id, key = _id(call), check_name(call.fields.text("key"))
    value = shortened(MAX_TAG_VALUE, call.fields.maybe_text("value"))
    if key == LOCATION_TAG:
        raise invalid(f"The trace tag '{key}' cannot be set.")
    await call.write(lambda c: store.set_tags(c, _to_write(c, call, trace_id).number, {key: value}))
    return {}


async def delete_tag(call: Call) -> Json:
    trace_id, key = _id(call), call.fields.text("key")

    def write(c: Connection) -> None:
        if not store.delete_tag(c, _to_write(c, call, trace_id).number, key):
            raise does_not_exist(f"No trace tag with key '{key}' for trace with ID '{trace_id}'")

    await call.write(write)
    return {}


async def delete(call: Call) -> Json:
    """Those of an experiment that are named, or the oldest of those up to a time."""
    call.check_not_a_job("delete traces")
    fields = call.fields
    experiment_id = fields.text("experiment_id")
    until, most = fields.maybe_integer("max_timestamp_millis"), fields.maybe_integer("max_traces")
    ids = fields.texts("request_ids") or fields.texts("trace_ids")
    if until is None and not ids:
        raise invalid("Either `max_timestamp_millis` or `trace_ids` must be specified.")
    if until is not None and ids:
        raise invalid("Only one of `max_timestamp_millis` and `trace_ids` can be specified.")
    if ids and most is not None:
        raise invalid("`max_traces` can't be specified if `trace_ids` is specified.")
    if most is not None and most <= 0:
        raise invalid(f"`max_traces` must be a positive integer, received {most}.")

    def write(c: Connection) -> Json:
        experiment = call.experiment(c, experiment_id)
        query = store.SELECT.where(traces.c.experiment == experiment.number).order_by(traces.c.request_ms)
        query = query.where(traces.c.trace_id.in_(ids)) if ids else query.where(traces.c.request_ms <= until)
        found = [store.from_row(row).number for row in c.execute(query.limit(most) if most is not None else query)]
        store.delete(c, found)
        return {"traces_deleted": len(found)}

    return await call.write(write)


async def link_to_run(call: Call) -> Json:
    run_id, ids = call.fields.text("run_id"), call.fields.texts("trace_ids")
    if len(ids) > MOST_LINKED:
        raise invalid(
            f"Cannot link more than {MOST_LINKED} traces to a run in a single request. Provided {len(ids)} traces."
        )

    def write(c: Connection) -> None:
        run = call.run_to_write(c, run_id, lifecycle=None)
        store.link_run(c, [trace.number for trace in store.get_many(c, call.workspace, ids)], run.run_id)

    await call.write(write)
    return {}


async def link_prompts(call: Call) -> Json:
    trace_id = call.fields.text("trace_id")
    new = [
        {"name": item.text("name"), "version": item.text("version")} for item in call.fields.objects("prompt_versions")
    ]

    def write(c: Connection) -> None:
        trace = _to_write(c, call, trace_id)
        known = msgspec.json.decode(store.tags_of(c, [trace.number])[trace.number].get(PROMPTS_TAG, "[]"))
        linked = [*known, *(one for one in new if one not in known)]
        store.set_tags(c, trace.number, {PROMPTS_TAG: msgspec.json.encode(linked).decode()})

    await call.write(write)
    return {}


async def get_artifact(call: Call) -> Response:
    """`get-trace-artifact`: the spans as a file, from the store or from where an older client put them."""
    trace_id = call.request.query_params.get("request_id")
    if not trace_id:
        raise error("BAD_REQUEST", 'Request must include the "request_id" query parameter.')
    path = call.request.query_params.get("path")
    if path and ("/" in path or "\\" in path or path in (".", "..")):
        raise invalid(f"Invalid path: '{path}'")

    def read(c: Connection) -> tuple[Trace, bytes | None]:
        trace = _trace(c, call, trace_id)
        spans = store.spans_of(c, [trace.number])[trace.number]
        return trace, span_file(spans) if spans and not path else None

    trace, content = await call.read(read)
    if content is None:
        name = f"attachments/{path}" if path else "traces.json"
        content = await _file(call, f"{folder(trace.experiment_id, trace.trace_id)}/{name}")
    headers = {"Content-Disposition": "attachment; filename=traces.json", "X-Content-Type-Options": "nosniff"}
    return Response(content, headers=headers, media_type="application/octet-stream")


async def start_old(call: Call) -> Json:
    """Version 2: a trace begins, and says later how it ended."""
    fields = call.fields
    experiment_id, began = fields.text("experiment_id"), fields.integer("timestamp_ms")
    tags, metadata = _old_map(fields, "tags"), _old_map(fields, "request_metadata")
    trace_id = uuid.uuid4().hex

    def write(c: Connection) -> Json:
        experiment = call.experiment(c, experiment_id, write=True)
        trace = make(c, call, trace_id, experiment.number, request_ms=began, state="IN_PROGRESS", finalized=False)
        store.set_tags(c, trace.number, tags)
        store.set_metadata(c, trace.number, metadata)
        return {"trace_info": old_infos(c, [trace])[0]}

    return await call.write(write)


async def end_old(call: Call) -> Json:
    fields, trace_id = call.fields, _id(call)
    ended, state = fields.integer("timestamp_ms"), fields.maybe_text("status") or STATES[0]
    if state not in STATES:
        state = STATES[0]
    tags, metadata = _old_map(fields, "tags"), _old_map(fields, "request_metadata")

    def write(c: Connection) -> Json:
        trace = _to_write(c, call, trace_id)
        store.update(c, trace.number, state=state, duration_ms=ended - trace.request_ms)
        store.set_tags(c, trace.number, tags)
        store.set_metadata(c, trace.number, metadata)
        return {"trace_info": old_infos(c, [_trace(c, call, trace_id)])[0]}

    return await call.write(write)


async def get_old(call: Call) -> Json:
    trace_id = _id(call)
    return await call.read(lambda c: {"trace_info": old_infos(c, [_trace(c, call, trace_id)])[0]})


async def search_old(call: Call) -> Json:
    ids = call.fields.texts("experiment_ids")
    if not ids:
        raise missing("experiment_ids")
    return await _search(call, ids, old_infos)


def make(c: Connection, call: Call, trace_id: str, experiment: int, **values: Any) -> Trace:
    """Add a trace, or give the one of that id these values. Raises ApiError 403."""
    check_length("trace_id", 250, trace_id)
    known = store.get(c, call.workspace, trace_id)
    if known is None:
        run = call.principal.run
        store.create(c, call.workspace, trace_id, experiment, created_in=run, **values)
    else:
        _check_reach(call, known)
        store.update(c, known.number, experiment=experiment, **values)
    return _trace(c, call, trace_id)


def folder(experiment_id: str, trace_id: str) -> str:
    """Where the files of a trace lie in the artifact datastore."""
    return f"{_FOLDER}/{experiment_id}/traces/{trace_id}/artifacts"


def check_reach_of(c: Connection, call: Call, trace_id: str) -> None:
    """Raises ApiError 404, and 403 where a job's token may not write to that trace."""
    _to_write(c, call, trace_id)


async def _search(call: Call, ids: list[str], document: Callable[[Connection, list[Trace]], list[Json]]) -> Json:
    fields = call.fields
    comparisons = TRACES.parse(fields.maybe_text("filter"))
    orders = TRACES.parse_order(fields.texts("order_by"))
    limit, offset = page_limits(
        fields.maybe_integer("max_results"),
        fields.maybe_text("page_token"),
        default=trace_search.DEFAULT,
        most=trace_search.MOST,
    )

    def read(c: Connection) -> Json:
        found = trace_search.find(c, call.workspace, ids, comparisons, orders, limit + 1, offset)
        answer: Json = {"traces": document(c, found[:limit])}
        if len(found) > limit:
            answer["next_page_token"] = next_token(offset + limit)
        return answer

    return await call.read(read)


def _wanted(c: Connection, call: Call) -> list[Trace]:
    ids = call.fields.texts("trace_ids")
    if not ids:
        raise missing("trace_ids")
    found = store.get_many(c, call.workspace, ids)
    if "experiment_ids" in call.fields:
        within = call.fields.texts("experiment_ids")
        found = [trace for trace in found if trace.experiment_id in within]
    return found


def _trace(c: Connection, call: Call, trace_id: str) -> Trace:
    found = store.get(c, call.workspace, trace_id)
    if found is None:
        raise no_such_trace(trace_id)
    return found


def no_such_trace(trace_id: str) -> ApiError:
    return does_not_exist(f"Trace with ID '{trace_id}' not found.")


def _to_write(c: Connection, call: Call, trace_id: str) -> Trace:
    trace = _trace(c, call, trace_id)
    _check_reach(call, trace)
    return trace


def _check_reach(call: Call, trace: Trace) -> None:
    own = call.principal.run
    if own is not None and (trace.created_in or "").lower() != own.lower():
        raise error("PERMISSION_DENIED", f"The token of job '{own}' may write to its own traces only.")


async def _file(call: Call, name: str) -> bytes:
    try:
        found = await call.context.artifacts.read(call.workspace, name, datastore=ARTIFACT_DATASTORE)
    except NoSuchArtifact:
        raise does_not_exist(f"There is no artifact '{name}'.") from None
    return b"".join([chunk async for chunk in found.chunks])


def _npmi(both: float, one: float, two: float, total: float) -> float:
    if both == 0:
        return -1.0
    if both == total:
        return 1.0
    return math.log(both * total / (one * two)) / -math.log(both / total)


def _id(call: Call) -> str:
    return str(call.request.path_params["trace_id"])


def _object(fields: Fields, name: str) -> Fields:
    value = fields.values.get(name)
    if not isinstance(value, dict):
        raise missing(name)
    return Fields(value)


def _experiment_of(info: Fields) -> str:
    return _object(_object(info, "trace_location"), "mlflow_experiment").text("experiment_id")


def _preview(info: Fields, name: str) -> str | None:
    text = info.maybe_text(name)
    return text[:MAX_PREVIEW] if text else None


def _map(fields: Fields, name: str) -> dict[str, str]:
    value = fields.values.get(name) or {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise invalid(f"Invalid value for parameter '{name}' supplied: an object of strings is expected.")
    return {check_length("key", 250, key): text for key, text in value.items()}


def _old_map(fields: Fields, name: str) -> dict[str, str]:
    return {check_length("key", 250, key or ""): value or "" for key, value in fields.pairs(name)}
