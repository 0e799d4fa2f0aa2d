"""`metrics/get-history*`: every value of a metric, or enough of them for a chart."""

from __future__ import annotations

import base64

import msgspec
from sqlalchemy.engine import Connection

from lazulite.store import run_data
from lazulite.store import runs as run_store
from lazulite.tracking.call import Call
from lazulite.tracking.documents import Json, metric
from lazulite.tracking.errors import invalid
from lazulite.tracking.fields import missing

MOST_BULK = 25_000
MOST_RUNS = 100
_After = tuple[int, int, float, bool]


async def get_history(call: Call) -> Json:
    """By step and time; all of it, unless `max_results` asks for pages."""
    fields = call.fields
    run_id, key = fields.run_id(), fields.text("metric_key")
    limit, after = fields.maybe_integer("max_results"), _after(fields.maybe_text("page_token"))

    def read(c: Connection) -> Json:
        run = run_store.get(c, call.workspace, run_id)
        if run is None:  # MLflow's server, too, has no metrics of it
            return {"metrics": []}
        found = run_data.history(c, run.number, key, after=after, limit=limit + 1 if limit else None)
        document: Json = {"metrics": [metric(point) for point in (found[:limit] if limit else found)]}
        if limit and len(found) > limit:
            last = found[limit - 1]
            is_nan = last.value != last.value
            token = (last.step, last.timestamp, 0.0 if is_nan else last.value, is_nan)
            document["next_page_token"] = base64.b64encode(msgspec.json.encode(token)).decode()
        return document

    return await call.read(read)


async def get_history_bulk(call: Call) -> Json:
    """The histories of one metric in several runs, for MLflow's web pages."""
    run_ids = call.request.query_params.getlist("run_id")
    key = call.fields.maybe_text("metric_key")
    if not key:
        raise invalid("GetMetricHistoryBulk request must specify a metric_key.")
    limit = min(call.fields.maybe_integer("max_results") or MOST_BULK, MOST_BULK)
    if not run_ids:
        raise invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    if len(run_ids) > MOST_RUNS:
        raise invalid(f"GetMetricHistoryBulk request cannot specify more than {MOST_RUNS} run_ids.")

    def read(c: Connection) -> Json:
        found: list[Json] = []
        for run in sorted(run_store.get_many(c, call.workspace, run_ids).values(), key=lambda r: r.run_id):
            points = run_data.history(c, run.number, key, limit=limit - len(found))
            found += [{**metric(point), "run_id": run.run_id} for point in points]
        return {"metrics": found}

    return await call.read(read)


async def get_history_bulk_interval(call: Call) -> Json:
    """About `max_results` values of each run at steps spread evenly, with every run's first and last among them."""
    fields = call.fields
    run_ids, key = fields.texts("run_ids"), fields.text("metric_key")
    start, end = fields.maybe_integer("start_step"), fields.maybe_integer("end_step")
    asked = fields.maybe_integer("max_results")
    wanted = 320 if asked is None else asked
    if not run_ids:
        raise missing("run_ids")
    if len(run_ids) > MOST_RUNS:
        raise invalid(f"GetMetricHistoryBulkInterval request must specify at most {MOST_RUNS} run_ids.")
    if (start is None) != (end is None):
        raise invalid("If either start step or end step are specified, both must be specified.")
    if start is not None and end is not None and start > end:
        raise invalid(f"end_step must be greater than start_step. Found start_step={start} and end_step={end}.")
    if not 1 <= wanted <= 2500:
        raise invalid("max_results must be between 1 and 2500.")

    def read(c: Connection) -> Json:
        found: list[Json] = []
        known = run_store.get_many(c, call.workspace, run_ids)
        runs = [known[run_id] for run_id in dict.fromkeys(run_ids) if run_id in known]
        bounds = {run.run_id: run_data.steps_of(c, run.number, key, start, end) for run in runs}
        ends = {step for one in bounds.values() for step in one or ()}
        steps = sorted(ends | set(_spread(min(ends), max(ends), wanted))) if ends else []
        for run in runs:
            own = bounds[run.run_id]
            points = run_data.at_steps(c, run.number, key, steps, own[1]) if own else []
            found += [{**metric(point), "run_id": run.run_id} for point in points]
        return {"metrics": found}

    return await call.read(read)


def _spread(first: int, last: int, count: int) -> list[int]:
    width = last - first + 1
    if width <= count:
        return list(range(first, last + 1))
    return [first + width * n // count for n in range(count)]


def _after(token: str | None) -> _After | None:
    if not token:
        return None
    try:
        after: _After = msgspec.json.decode(base64.b64decode(token), type=_After)
    except (ValueError, msgspec.MsgspecError):
        raise invalid("Invalid page token, could not base64-decode") from None
    return after
