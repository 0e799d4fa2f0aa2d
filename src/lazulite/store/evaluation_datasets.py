"""Evaluation datasets: records of inputs, outputs and expectations that an application is judged with."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.clock import now_ms
from lazulite.store.bulk import upsert
from lazulite.store.evaluation_tables import (
    evaluation_dataset_experiments,
    evaluation_dataset_tags,
    evaluation_datasets,
    evaluation_records,
)
from lazulite.store.experiments import workspace_number

Json = dict[str, Any]
USER_TAG = "mlflow.user"
_CHUNK = 5000
_PARTS = ("inputs", "outputs", "expectations")


@dataclass(frozen=True, slots=True)
class EvaluationDataset:
    """`schema` is the type of each field seen, by part of the record; None before the first record."""

    number: int
    dataset_id: str
    name: str
    schema: Json | None
    created_ms: int
    updated_ms: int
    created_by: str | None
    updated_by: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """`document` has inputs, outputs, expectations, tags, source, last_update_time, created_by, last_updated_by."""

    record_id: str
    created_ms: int
    document: Json


def create(c: Connection, workspace_id: str, name: str, tags: dict[str, str], experiment_ids: Sequence[str]) -> str:
    """Add a dataset and return its id."""
    dataset_id, now, user = f"d-{uuid.uuid4().hex}", now_ms(), tags.get(USER_TAG)
    values = {
        "workspace": workspace_number(workspace_id),
        "dataset_id": dataset_id,
        "name": name,
        "created_ms": now,
        "updated_ms": now,
        "created_by": user,
        "updated_by": user,
    }
    number = c.execute(evaluation_datasets.insert().returning(evaluation_datasets.c.number), values).scalar_one()
    set_tags(c, number, tags)
    if experiment_ids:
        _INSERT_EXPERIMENT.run(c, [(number, one) for one in experiment_ids])
    return dataset_id


def get(c: Connection, workspace_id: str, dataset_id: str) -> EvaluationDataset | None:
    columns = evaluation_datasets.c
    where = (columns.workspace == workspace_number(workspace_id)) & (columns.dataset_id == dataset_id)
    row = c.execute(SELECT.where(where)).first()
    return from_row(row) if row else None


def delete(c: Connection, dataset: int) -> None:
    """Remove a dataset with all that is of it."""
    for table in (evaluation_dataset_tags, evaluation_dataset_experiments, evaluation_records):
        c.execute(table.delete().where(table.c.dataset == dataset))
    c.execute(evaluation_datasets.delete().where(evaluation_datasets.c.number == dataset))


def set_tags(c: Connection, dataset: int, tags: dict[str, str]) -> None:
    if tags:
        _UPSERT_TAG.run(c, [(dataset, key, value) for key, value in tags.items()])


def delete_tag(c: Connection, dataset: int, key: str) -> None:
    columns = evaluation_dataset_tags.c
    c.execute(evaluation_dataset_tags.delete().where(columns.dataset == dataset, columns.key == key))


def add_experiments(c: Connection, dataset: int, experiment_ids: Sequence[str]) -> None:
    if experiment_ids:
        _INSERT_EXPERIMENT.run(c, [(dataset, one) for one in experiment_ids])
    _touch(c, dataset)


def remove_experiments(c: Connection, dataset: int, experiment_ids: Sequence[str]) -> None:
    """Experiments that it is not of are passed over."""
    columns = evaluation_dataset_experiments.c
    where = (columns.dataset == dataset) & columns.experiment_id.in_(list(experiment_ids))
    if c.execute(evaluation_dataset_experiments.delete().where(where)).rowcount:
        _touch(c, dataset)


def put_records(c: Connection, dataset: EvaluationDataset, sent: Sequence[Json]) -> tuple[int, int]:
    """Add records, merging each into the one of the same inputs; return how many were added and how many merged."""
    now = now_ms()
    hashes = [_hash(record["inputs"]) for record in sent]
    known = _by_hash(c, dataset.number, hashes)
    inserted, changed = set(), set()
    for record, input_hash in zip(sent, hashes, strict=True):
        if input_hash in known:
            known[input_hash] = _merged(known[input_hash], record, now)
            changed.add(input_hash)
        else:
            known[input_hash] = Record(f"dr-{uuid.uuid4().hex}", now, _new(record, now))
            inserted.add(input_hash)
    _write_records(c, dataset.number, {one: known[one] for one in inserted | changed})
    users = [record["tags"][USER_TAG] for record in sent if USER_TAG in record["tags"]]
    schema = _schema(dataset.schema, sent)
    _touch(
        c,
        dataset.number,
        updated_by=users[-1] if users else None,
        schema=json.dumps(schema).encode() if schema else None,
    )
    return len(inserted), len(sent) - len(inserted)


def records(
    c: Connection, dataset: int, limit: int, after: tuple[int, str] | None = None, offset: int = 0
) -> list[Record]:
    """Oldest first, from the one behind `after` (time of creation, record id)."""
    columns = evaluation_records.c
    query = sa.select(evaluation_records).where(columns.dataset == dataset)
    if after is not None:
        query = query.where(sa.tuple_(columns.created_ms, columns.record_id) > sa.tuple_(*map(sa.literal, after)))
    query = query.order_by(columns.created_ms, columns.record_id).limit(limit).offset(offset)
    return [_record(row) for row in c.execute(query)]


def delete_records(c: Connection, dataset: int, record_ids: Sequence[str]) -> int:
    """Remove those of the records that there are; return how many that was."""
    columns, deleted = evaluation_records.c, 0
    for start in range(0, len(record_ids), _CHUNK):
        wanted = columns.record_id.in_(record_ids[start : start + _CHUNK])
        deleted += c.execute(evaluation_records.delete().where(columns.dataset == dataset, wanted)).rowcount
    return deleted


def tags_of(c: Connection, numbers: Sequence[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {number: {} for number in numbers}
    columns = evaluation_dataset_tags.c
    for row in c.execute(sa.select(evaluation_dataset_tags).where(columns.dataset.in_(list(numbers)))):
        found[row.dataset][row.key] = row.value
    return found


def experiments_of(c: Connection, numbers: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {number: [] for number in numbers}
    columns = evaluation_dataset_experiments.c
    query = sa.select(evaluation_dataset_experiments).where(columns.dataset.in_(list(numbers)))
    for row in c.execute(query.order_by(columns.experiment_id)):
        found[row.dataset].append(row.experiment_id)
    return found


def counts_of(c: Connection, numbers: Sequence[int]) -> dict[int, int]:
    """How many records each of these datasets has."""
    columns = evaluation_records.c
    query = sa.select(columns.dataset, sa.func.count()).where(columns.dataset.in_(list(numbers)))
    counted: dict[int, int] = dict(c.execute(query.group_by(columns.dataset)).tuples().all())
    return {number: counted.get(number, 0) for number in numbers}


def from_row(row: Any) -> EvaluationDataset:
    """The dataset of a row of `SELECT`."""
    number, dataset_id, name, schema, *rest = tuple(row)
    return EvaluationDataset(number, dataset_id, name, json.loads(schema) if schema else None, *rest)


def _touch(c: Connection, dataset: int, **values: Any) -> None:
    where = evaluation_datasets.c.number == dataset
    c.execute(evaluation_datasets.update().where(where).values(updated_ms=now_ms(), **values))


def _hash(inputs: Json) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _by_hash(c: Connection, dataset: int, hashes: Sequence[str]) -> dict[str, Record]:
    found, columns = {}, evaluation_records.c
    for start in range(0, len(hashes), _CHUNK):
        wanted = columns.input_hash.in_(hashes[start : start + _CHUNK])
        for row in c.execute(sa.select(evaluation_records).where(columns.dataset == dataset, wanted)):
            found[row.input_hash] = _record(row)
    return found


def _new(record: Json, now: int) -> Json:
    user = record["tags"].get(USER_TAG)
    return {"outputs": {}, **record, "last_update_time": now, "created_by": user, "last_updated_by": user}


def _merged(known: Record, record: Json, now: int) -> Record:
    """Outputs are replaced where the record has them; expectations and tags are added to those there."""
    old = known.document
    merged = {**old, "last_update_time": now, "tags": {**old["tags"], **record["tags"]}}
    if "outputs" in record:
        merged["outputs"] = record["outputs"]
    if record.get("expectations"):
        merged["expectations"] = {**(old.get("expectations") or {}), **record["expectations"]}
    merged["last_updated_by"] = record["tags"].get(USER_TAG, old["last_updated_by"])
    return Record(known.record_id, known.created_ms, merged)


def _write_records(c: Connection, dataset: int, found: dict[str, Record]) -> None:
    rows: list[tuple[Any, ...]] = [
        (dataset, one.record_id, input_hash, one.created_ms, json.dumps(one.document).encode())
        for input_hash, one in found.items()
    ]
    if rows:
        _UPSERT_RECORD.run(c, rows)


def _schema(known: Json | None, sent: Sequence[Json]) -> Json | None:
    """The type of each field, as first seen."""
    if not sent and not known:
        return None
    schema: Json = {**(known or {**{part: {} for part in _PARTS}, "version": "1.0"})}
    for record in sent:
        for part in _PARTS:
            value = record.get(part)
            if isinstance(value, dict) and isinstance(schema[part], dict):
                schema[part] = {**{key: _type(one) for key, one in value.items()}, **schema[part]}
            elif value is not None and not schema[part]:
                schema[part] = _type(value)
    return schema


def _type(value: Any) -> str:
    return _TYPES.get(type(value), "unknown")


def _record(row: Any) -> Record:
    return Record(row.record_id, row.created_ms, json.loads(row.document))


_TYPES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    list: "array",
    dict: "object",
}
#: Datasets in the order `from_row` reads.
SELECT = sa.select(
    evaluation_datasets.c.number,
    evaluation_datasets.c.dataset_id,
    evaluation_datasets.c.name,
    evaluation_datasets.c.schema,
    evaluation_datasets.c.created_ms,
    evaluation_datasets.c.updated_ms,
    evaluation_datasets.c.created_by,
    evaluation_datasets.c.updated_by,
)
_UPSERT_TAG = upsert(evaluation_dataset_tags, ["value"])
_INSERT_EXPERIMENT = upsert(evaluation_dataset_experiments)
_UPSERT_RECORD = upsert(evaluation_records, ["document"])
