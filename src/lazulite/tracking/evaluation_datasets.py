"""`datasets/*`: the evaluation datasets of `mlflow.genai.datasets`."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import json_text
from lazulite.core.numbers import whole_number
from lazulite.store import evaluation_datasets as store
from lazulite.store.evaluation_datasets import EvaluationDataset, Record
from lazulite.store.evaluation_tables import (
    evaluation_dataset_experiments,
    evaluation_dataset_tags,
    evaluation_datasets,
)
from lazulite.store.experiments import workspace_number
from lazulite.tracking.call import Call
from lazulite.tracking.conditions import Column, compare, keyed, next_token, page_limits
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import does_not_exist, invalid, no_such_experiment
from lazulite.tracking.fields import Fields
from lazulite.tracking.grammar import STRING, Comparison, Grammar, Order

DEFAULT, MOST = 1000, 50_000
DATASETS = Grammar(
    strings=frozenset({"name", "created_by", "last_updated_by"}),
    numbers=frozenset({"created_time", "last_update_time"}),
    orderable=frozenset({"name", "created_time", "last_update_time"}),
    entities={"tags": "tag"},
    operators={"attribute": STRING | {"IN"}, "tag": STRING},
)
_COLUMNS: dict[str, Column] = {
    "name": evaluation_datasets.c.name,
    "created_by": evaluation_datasets.c.created_by,
    "last_updated_by": evaluation_datasets.c.updated_by,
    "created_time": evaluation_datasets.c.created_ms,
    "last_update_time": evaluation_datasets.c.updated_ms,
}
_SOURCES = ("UNSPECIFIED", "TRACE", "HUMAN", "DOCUMENT", "CODE")


async def create(call: Call) -> Json:
    fields = call.fields
    name, tags, experiments = fields.text("name"), _tags(fields), fields.texts("experiment_ids")

    def write(c: Connection) -> Json:
        return _answer(c, _get(c, call, store.create(c, call.workspace, name, tags, list(dict.fromkeys(experiments)))))

    return await call.write(write)


async def get(call: Call) -> Json:
    return await call.read(lambda c: _answer(c, _get(c, call)))


async def delete(call: Call) -> Json:
    """A dataset that is not there is as good as deleted."""
    call.check_not_a_job("delete evaluation datasets")

    def write(c: Connection) -> None:
        if found := store.get(c, call.workspace, _id(call)):
            store.delete(c, found.number)

    await call.write(write)
    return {}


async def search(call: Call) -> Json:
    fields = call.fields
    comparisons = [_checked(one) for one in DATASETS.parse(fields.maybe_text("filter_string"))]
    orders = DATASETS.parse_order(fields.texts("order_by")) or [Order("attribute", "created_time", False)]
    experiments = fields.texts("experiment_ids")
    limit, offset = page_limits(
        fields.maybe_integer("max_results"), fields.maybe_text("page_token"), default=DEFAULT, most=MOST
    )

    def read(c: Connection) -> Json:
        query = store.SELECT.where(evaluation_datasets.c.workspace == workspace_number(call.workspace))
        query = query.where(*(_condition(c, one) for one in comparisons))
        if experiments:
            links = evaluation_dataset_experiments.c
            of_these = (links.dataset == evaluation_datasets.c.number) & links.experiment_id.in_(experiments)
            query = query.where(sa.exists().where(of_these))
        for order in orders:
            query = query.order_by(_COLUMNS[order.key].asc() if order.ascending else _COLUMNS[order.key].desc())
        query = query.order_by(evaluation_datasets.c.number.desc())
        found = [store.from_row(row) for row in c.execute(query.limit(limit + 1).offset(offset))]
        answer: Json = {"datasets": _documents(c, found[:limit])}
        if len(found) > limit:
            answer["next_page_token"] = next_token(offset + limit)
        return answer

    return await call.read(read)


async def set_tags(call: Call) -> Json:
    call.fields.text("tags")
    tags = _tags(call.fields)

    def write(c: Connection) -> Json:
        found = _get(c, call)
        store.set_tags(c, found.number, tags)
        return _answer(c, found)

    return await call.write(write)


async def delete_tag(call: Call) -> Json:
    key = str(call.request.path_params["key"])

    def write(c: Connection) -> None:
        if found := store.get(c, call.workspace, _id(call)):
            store.delete_tag(c, found.number, key)

    await call.write(write)
    return {}


async def experiment_ids(call: Call) -> Json:
    def read(c: Connection) -> Json:
        found = store.get(c, call.workspace, _id(call))
        return {"experiment_ids": store.experiments_of(c, [found.number])[found.number] if found else []}

    return await call.read(read)


async def add_experiments(call: Call) -> Json:
    wanted = call.fields.texts("experiment_ids")

    def write(c: Connection) -> Json:
        found = _get(c, call)
        for one in wanted:
            if whole_number(one) is None:
                raise no_such_experiment(one)
            call.experiment(c, one)
        store.add_experiments(c, found.number, list(dict.fromkeys(wanted)))
        return _answer(c, _get(c, call))

    return await call.write(write)


async def remove_experiments(call: Call) -> Json:
    wanted = call.fields.texts("experiment_ids")

    def write(c: Connection) -> Json:
        store.remove_experiments(c, _get(c, call).number, wanted)
        return _answer(c, _get(c, call))

    return await call.write(write)


async def put_records(call: Call) -> Json:
    sent = [_record(one) for one in _objects("records", call.fields.text("records"))]

    def write(c: Connection) -> Json:
        inserted, updated = store.put_records(c, _get(c, call), sent)
        return {"inserted_count": inserted, "updated_count": updated}

    return await call.write(write)


async def get_records(call: Call) -> Json:
    limit, token = call.fields.maybe_integer("max_results") or DEFAULT, call.fields.maybe_text("page_token")
    page_limits(limit, None, default=DEFAULT, most=MOST)
    after, offset = _cursor(token) if token else (None, 0)

    def read(c: Connection) -> Json:
        dataset = _get(c, call)
        found = store.records(c, dataset.number, limit + 1, after, offset)
        # A text, as the client wants it; and not all that records hold can be said in strict JSON.
        answer: Json = {"records": json.dumps([_record_document(dataset, one) for one in found[:limit]])}
        if len(found) > limit:
            last = found[limit - 1]
            answer["next_page_token"] = base64.b64encode(f"{last.created_ms}:{last.record_id}".encode()).decode()
        return answer

    return await call.read(read)


async def delete_records(call: Call) -> Json:
    call.check_not_a_job("delete records of evaluation datasets")
    wanted = call.fields.texts("dataset_record_ids")
    return await call.write(lambda c: {"deleted_count": store.delete_records(c, _get(c, call).number, wanted)})


def _get(c: Connection, call: Call, dataset_id: str | None = None) -> EvaluationDataset:
    dataset_id = dataset_id or _id(call)
    found = store.get(c, call.workspace, dataset_id)
    if found is None:
        raise does_not_exist(f"Evaluation dataset with id '{dataset_id}' not found")
    return found


def _id(call: Call) -> str:
    return str(call.request.path_params["dataset_id"])


def _checked(one: Comparison) -> Comparison:
    """Raises ApiError for what the grammar knows and datasets do not."""
    if one.operator == "IN" and one.key != "name":
        raise invalid("Only ['name'] attributes support comparison with a list of quoted string values.")
    if isinstance(one.value, float):
        raise invalid(f"Invalid value for numeric attribute '{one.key}': '{one.value}'")
    return one


def _condition(c: Connection, one: Comparison) -> sa.ColumnElement[bool]:
    if one.kind == "attribute":
        return compare(c, _COLUMNS[one.key], one.operator, one.value)
    owner, number = evaluation_dataset_tags.c.dataset, evaluation_datasets.c.number
    return keyed(c, evaluation_dataset_tags, owner, number, one.key, one.operator, one.value)


def _answer(c: Connection, found: EvaluationDataset) -> Json:
    return {"dataset": _documents(c, [found])[0]}


def _documents(c: Connection, found: Sequence[EvaluationDataset]) -> list[Json]:
    numbers = [dataset.number for dataset in found]
    tags, counts = store.tags_of(c, numbers), store.counts_of(c, numbers)
    experiments = store.experiments_of(c, numbers)
    return [_document(one, tags[one.number], counts[one.number], experiments[one.number]) for one in found]


def _document(dataset: EvaluationDataset, tags: dict[str, str], count: int, experiments: list[str]) -> Json:
    digest = hashlib.sha256(f"{dataset.name}:{dataset.updated_ms}".encode()).hexdigest()[:8]
    document: Json = {
        "dataset_id": dataset.dataset_id,
        "name": dataset.name,
        "tags": json.dumps(tags),
        "digest": digest,
        "created_time": dataset.created_ms,
        "last_update_time": dataset.updated_ms,
        "experiment_ids": experiments,
    }
    if dataset.schema is not None:
        document["schema"] = json.dumps(dataset.schema)
    if count:
        document["profile"] = json.dumps({"num_records": count})
    users = {"created_by": dataset.created_by, "last_updated_by": dataset.updated_by}
    return document | {key: user for key, user in users.items() if user is not None}


def _record_document(dataset: EvaluationDataset, record: Record) -> Json:
    kept = {key: value for key, value in record.document.items() if value is not None}
    document = {
        "dataset_record_id": record.record_id,
        "dataset_id": dataset.dataset_id,
        "created_time": record.created_ms,
        **kept,
    }
    if source := kept.get("source"):
        known = source["source_data"].get("trace_id" if source["source_type"] == "TRACE" else "source_id")
        document["source_type"] = source["source_type"]
        if known:
            document["source_id"] = known
    return document


def _record(sent: Json) -> Json:
    """A record as it is stored: outputs are there unless they were left out. Raises ApiError."""
    record: Json = {"inputs": sent.get("inputs") or {}, "tags": sent.get("tags") or {}}
    record |= {key: sent[key] for key in ("outputs", "expectations") if key in sent}
    for key in ("inputs", "expectations", "tags"):
        if not isinstance(record.get(key) or {}, dict):
            raise invalid(f"Invalid value for parameter 'records' supplied: the {key} of a record are an object.")
    if source := sent.get("source"):
        record["source"] = _source(source)
    return record


def _source(source: Any) -> Json:
    kind = source.get("source_type") if isinstance(source, dict) else None
    data = (source.get("source_data") or {}) if isinstance(source, dict) else None
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise invalid("Invalid value for parameter 'records' supplied: a source has a source_type and source_data.")
    if kind.upper() not in _SOURCES:
        raise invalid(f"Invalid dataset record source type: {kind.upper()}. Valid source types: {list(_SOURCES)}")
    return {"source_type": kind.upper(), "source_data": data}


def _tags(fields: Fields) -> dict[str, str]:
    """Of JSON in a text; what is null there is left out. Raises ApiError."""
    text = fields.maybe_text("tags")
    tags = _parsed("tags", text) if text else {}
    if not isinstance(tags, dict):
        raise invalid("Invalid value for parameter 'tags' supplied: an object as JSON in a text is expected.")
    return {key: value if isinstance(value, str) else str(value) for key, value in tags.items() if value is not None}


def _objects(name: str, text: str) -> list[Json]:
    found = _parsed(name, text)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise invalid(f"Invalid value for parameter '{name}' supplied: a list of objects in a text is expected.")
    return found


def _parsed(name: str, text: str) -> Any:
    json_text.check_limits(text.encode())
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise invalid(f"Invalid value for parameter '{name}' supplied: it is not JSON.") from None


def _cursor(token: str) -> tuple[tuple[int, str] | None, int]:
    """Where a page of records begins: behind a record, or at an offset as older clients count."""
    offset = whole_number(token)
    if offset is not None:
        return None, offset
    try:
        created, _, record_id = base64.b64decode(token).decode().partition(":")
        return (int(created), record_id), 0
    except ValueError:
        raise invalid("Invalid page token, could not base64-decode") from None
