"""Issues, label schemas and review queues: documents of an experiment, and the items of a queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store.experiments import workspace_number
from lazulite.store.review_tables import review_queue_items, review_queue_users, review_queues
from lazulite.store.run_tables import experiments
from lazulite.store.trace_tables import traces

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A row of one of the tables of documents, and the number of its experiment."""

    number: int
    experiment: int
    document: Json


def insert(c: Connection, table: sa.Table, experiment: int, document: Json, **columns: Any) -> int:
    values = {"experiment": experiment, "document": msgspec.json.encode(document), **columns}
    return int(c.execute(table.insert().returning(table.c.number), values).scalar_one())


def update(c: Connection, table: sa.Table, number: int, document: Json, **columns: Any) -> None:
    values = {"document": msgspec.json.encode(document), **columns}
    c.execute(table.update().where(table.c.number == number).values(values))


def delete(c: Connection, table: sa.Table, number: int) -> None:
    c.execute(table.delete().where(table.c.number == number))


def get(c: Connection, workspace_id: str, table: sa.Table, id_column: str, id_: str) -> Found | None:
    """The document of that id, if it is of an experiment of this workspace."""
    query = in_workspace(workspace_id, table).where(table.c[id_column] == id_)
    row = c.execute(query).first()
    return _found(row) if row else None


def first(c: Connection, table: sa.Table, *where: sa.ColumnElement[bool]) -> Found | None:
    row = c.execute(_select(table).where(*where)).first()
    return _found(row) if row else None


def page(c: Connection, query: sa.Select[*tuple[Any, ...]], limit: int, offset: int) -> list[Found]:
    """Documents of a query that began with `in_workspace`."""
    return [_found(row) for row in c.execute(query.limit(limit).offset(offset))]


def in_workspace(workspace_id: str, table: sa.Table) -> sa.Select[*tuple[Any, ...]]:
    query = _select(table).join(experiments, experiments.c.number == table.c.experiment)
    return query.where(experiments.c.workspace == workspace_number(workspace_id))


def set_users(c: Connection, queue: int, users: Sequence[str]) -> None:
    c.execute(review_queue_users.delete().where(review_queue_users.c.queue == queue))
    for user in users:
        c.execute(review_queue_users.insert().values(queue=queue, user=user))


def delete_queue(c: Connection, queue: int) -> None:
    """Remove a queue with its items; the traces stay."""
    for table in (review_queue_users, review_queue_items):
        c.execute(table.delete().where(table.c.queue == queue))
    delete(c, review_queues, queue)


def put_item(c: Connection, queue: int, item_id: str, document: Json) -> None:
    """Add an item, or replace the one that is there."""
    where = (review_queue_items.c.queue == queue) & (review_queue_items.c.item_id == item_id)
    values = {"status": document["status"], "document": msgspec.json.encode(document)}
    if c.execute(review_queue_items.update().where(where).values(values)).rowcount == 0:
        more = {"queue": queue, "item_id": item_id, "created_ms": document["creation_time_ms"]}
        c.execute(review_queue_items.insert().values(**more, **values))


def delete_items(c: Connection, queue: int, item_ids: Sequence[str]) -> None:
    columns = review_queue_items.c
    c.execute(review_queue_items.delete().where(columns.queue == queue, columns.item_id.in_(list(item_ids))))


def items(
    c: Connection, queue: int, *where: sa.ColumnElement[bool], limit: int | None = None, offset: int = 0
) -> list[Json]:
    """Items of a queue, newest first."""
    columns = review_queue_items.c
    query = sa.select(columns.document).where(columns.queue == queue, *where)
    query = query.order_by(columns.created_ms.desc(), columns.item_id).limit(limit).offset(offset)
    return [msgspec.json.decode(document) for document in c.scalars(query)]


def delete_items_of_traces(c: Connection, numbers: Sequence[int]) -> None:
    """Take traces that are about to be deleted out of the queues of their experiments."""
    gone = traces.c.number.in_(list(numbers))
    queues = sa.select(review_queues.c.number).where(
        review_queues.c.experiment.in_(sa.select(traces.c.experiment).where(gone))
    )
    columns = review_queue_items.c
    ids = sa.select(traces.c.trace_id).where(gone)
    c.execute(review_queue_items.delete().where(columns.item_id.in_(ids), columns.queue.in_(queues)))


def _select(table: sa.Table) -> sa.Select[*tuple[Any, ...]]:
    return sa.select(table.c.number, table.c.experiment, table.c.document)


def _found(row: Any) -> Found:
    return Found(row.number, row.experiment, msgspec.json.decode(row.document))
