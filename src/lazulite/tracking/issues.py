"""`issues/*`: problems that were found in traces. Assessments of kind issue name them by their id."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.clock import now_ms
from lazulite.store import experiments as experiment_store
from lazulite.store import reviews as store
from lazulite.store.review_tables import issues
from lazulite.store.reviews import Found
from lazulite.store.trace_tables import assessments, traces
from lazulite.tracking.call import Call, check_experiment_id
from lazulite.tracking.conditions import compare, next_token, page_limits
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import does_not_exist, invalid, no_such_experiment
from lazulite.tracking.fields import Fields, check_length
from lazulite.tracking.grammar import Grammar

DEFAULT, MOST = 100, 50_000
STATUSES, SEVERITIES = ("pending", "rejected", "resolved"), ("not_an_issue", "low", "medium", "high")
ISSUES = Grammar(
    strings=frozenset({"status", "source_run_id"}),
    kinds=frozenset(),
    entities={},
    operators={"attribute": frozenset({"=", "!="})},
)


async def create(call: Call) -> Json:
    fields, now = call.fields, now_ms()
    document: Json = {
        "issue_id": f"iss-{uuid.uuid4().hex}",
        "name": check_length("name", 250, fields.text("name")),
        "description": fields.text("description"),
        "status": _one_of(fields, "status", STATUSES) or "pending",
        "created_timestamp": now,
        "last_updated_timestamp": now,
    }
    more = {
        "severity": _one_of(fields, "severity", SEVERITIES),
        "source_run_id": fields.maybe_text("source_run_id"),
        "root_causes": fields.texts("root_causes"),
        "categories": fields.texts("categories"),
        "created_by": fields.maybe_text("created_by"),
    }
    document |= {key: value for key, value in more.items() if value}
    experiment_id = fields.text("experiment_id")

    def write(c: Connection) -> Json:
        experiment = call.experiment(c, experiment_id, write=True)
        if experiment.lifecycle != "active":
            raise no_such_experiment(experiment_id)
        made = {**document, "experiment_id": experiment.id}
        store.insert(c, issues, experiment.number, made, **_columns(made))
        return {"issue": made}

    return await call.write(write)


async def get(call: Call) -> Json:
    return await call.read(lambda c: {"issue": _get(c, call).document})


async def update(call: Call) -> Json:
    """What is empty stays as it is."""
    fields = call.fields
    changed = {
        "status": _one_of(fields, "status", STATUSES),
        "severity": _one_of(fields, "severity", SEVERITIES),
        "name": check_length("name", 250, fields.maybe_text("name") or ""),
        "description": fields.maybe_text("description"),
    }

    def write(c: Connection) -> Json:
        found = _get(c, call)
        made = {**found.document, **{key: value for key, value in changed.items() if value}}
        made["last_updated_timestamp"] = now_ms()
        store.update(c, issues, found.number, made, **_columns(made))
        return {"issue": made}

    return await call.write(write)


async def search(call: Call) -> Json:
    """The most severe first, then the newest."""
    fields = call.fields
    comparisons, experiment_id = ISSUES.parse(fields.maybe_text("filter_string")), fields.maybe_text("experiment_id")
    counted = fields.values.get("include_trace_count") is True
    limit, offset = page_limits(
        fields.maybe_integer("max_results"), fields.maybe_text("page_token"), default=DEFAULT, most=MOST
    )

    if experiment_id:
        check_experiment_id(experiment_id)

    def read(c: Connection) -> Json:
        query = store.in_workspace(call.workspace, issues)
        if experiment_id:
            experiment = experiment_store.get(c, call.workspace, experiment_id)
            query = query.where(issues.c.experiment == (experiment.number if experiment else -1))
        query = query.where(*(compare(c, issues.c[one.key], one.operator, one.value) for one in comparisons))
        rank = sa.case({name: n for n, name in enumerate(SEVERITIES)}, value=issues.c.severity, else_=-1)
        orders = [rank.desc(), *([_impact().desc()] if counted else []), issues.c.number.desc()]
        found = store.page(c, query.order_by(*orders), limit + 1, offset)
        documents = [one.document for one in found[:limit]]
        if counted:
            documents = [{**one, "trace_count": _traces(c, one["issue_id"])} for one in documents]
        answer: Json = {"issues": documents}
        if len(found) > limit:
            answer["next_page_token"] = next_token(offset + limit)
        return answer

    return await call.read(read)


def _get(c: Connection, call: Call) -> Found:
    issue_id = str(call.request.path_params["issue_id"])
    found = store.get(c, call.workspace, issues, "issue_id", issue_id)
    if found is None:
        raise does_not_exist(f"Issue with ID '{issue_id}' not found")
    return found


def _columns(document: Json) -> dict[str, Any]:
    names = ("issue_id", "status", "severity", "source_run_id")
    return {name: document.get(name) for name in names}


def _one_of(fields: Fields, name: str, allowed: tuple[str, ...]) -> str | None:
    value = fields.maybe_text(name)
    if value and value not in allowed:
        raise invalid(f"Invalid value '{value}' for parameter '{name}' supplied: there is {', '.join(allowed)}.")
    return value or None


def _impact() -> sa.ScalarSelect[Any]:
    """In how many traces of its experiment an issue was found."""
    of_issue = (traces.c.experiment == issues.c.experiment) & (assessments.c.name == issues.c.issue_id)
    return _counting().where(of_issue).correlate(issues).scalar_subquery()


def _traces(c: Connection, issue_id: str) -> int:
    return int(c.scalar(_counting().where(assessments.c.name == issue_id)) or 0)


def _counting() -> sa.Select[*tuple[Any, ...]]:
    found = sa.select(sa.func.count(sa.distinct(assessments.c.trace))).select_from(assessments)
    return found.join(traces, traces.c.number == assessments.c.trace).where(assessments.c.kind == "issue")
