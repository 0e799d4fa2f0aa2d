"""Webhooks and their deliveries. Nothing here sends anything."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.clock import now_ms
from lazulite.store.database import changed
from lazulite.store.experiments import workspace_number
from lazulite.store.webhook_tables import webhook_deliveries, webhook_events, webhooks


@dataclass(frozen=True, slots=True)
class Webhook:
    """`scope` is where its secret is sealed. `status` is ACTIVE or DISABLED."""

    number: int
    scope: str
    webhook_id: str
    name: str
    url: str
    description: str | None
    status: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing to tell one webhook. `body` is JSON as it is sent."""

    number: int
    webhook: Webhook
    delivery_id: str
    body: bytes
    attempts: int


def create(
    c: Connection,
    workspace_id: str,
    events: Sequence[str],
    *,
    name: str,
    url: str,
    description: str | None,
    status: str,
) -> Webhook:
    webhook_id, now = str(uuid.uuid4()), now_ms()
    values: dict[str, Any] = {
        "workspace": workspace_number(workspace_id),
        "scope": f"{workspace_id}/webhooks/{webhook_id}",
        "webhook_id": webhook_id,
        "name": name,
        "url": url,
        "description": description,
        "status": status,
        "created_ms": now,
        "updated_ms": now,
    }
    number = c.execute(webhooks.insert().returning(webhooks.c.number), values).scalar_one()
    _set_events(c, number, events)
    del values["workspace"]
    return Webhook(number, **values)


def get(c: Connection, workspace_id: str, webhook_id: str) -> Webhook | None:
    where = (webhooks.c.workspace == workspace_number(workspace_id)) & (webhooks.c.webhook_id == webhook_id)
    row = c.execute(_SELECT.where(where)).first()
    return Webhook(*row) if row else None


def page(c: Connection, workspace_id: str, limit: int, offset: int) -> list[Webhook]:
    """Newest first."""
    query = _SELECT.where(webhooks.c.workspace == workspace_number(workspace_id)).order_by(webhooks.c.number.desc())
    return [Webhook(*row) for row in c.execute(query.limit(limit).offset(offset))]


def update(c: Connection, webhook: Webhook, events: Sequence[str] | None = None, **values: Any) -> None:
    c.execute(webhooks.update().where(webhooks.c.number == webhook.number).values(updated_ms=now_ms(), **values))
    if events is not None:
        _set_events(c, webhook.number, events)


def delete(c: Connection, webhook: Webhook) -> None:
    """Remove a webhook and what it has not been told."""
    for table in (webhook_events, webhook_deliveries):
        c.execute(table.delete().where(table.c.webhook == webhook.number))
    c.execute(webhooks.delete().where(webhooks.c.number == webhook.number))


def events_of(c: Connection, numbers: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {number: [] for number in numbers}
    columns = webhook_events.c
    query = sa.select(webhook_events).where(columns.webhook.in_(list(numbers)))
    for row in c.execute(query.order_by(columns.event)):
        found[row.webhook].append(row.event)
    return found


def announce(c: Connection, workspace_id: str, event: str, body: bytes) -> None:
    """Note for each active webhook that wants this event that it is to be told, once this transaction is durable."""
    columns = webhooks.c
    wants = sa.exists().where(webhook_events.c.webhook == columns.number, webhook_events.c.event == event)
    query = sa.select(columns.number, columns.scope).where(columns.workspace == workspace_number(workspace_id), wants)
    rows = c.execute(query.where(columns.status == "ACTIVE")).all()
    for row in rows:
        values = {"webhook": row.number, "delivery_id": str(uuid.uuid4()), "body": body, "due_ms": 0, "attempts": 0}
        c.execute(webhook_deliveries.insert().values(values))
    changed(c, [row.scope for row in rows])


def due(c: Connection, now: int, limit: int) -> list[Delivery]:
    """Deliveries whose time has come, oldest first. Times in milliseconds."""
    columns = webhook_deliveries.c
    query = _SELECT.add_columns(columns.number, columns.delivery_id, columns.body, columns.attempts)
    query = query.join(webhook_deliveries, columns.webhook == webhooks.c.number).where(columns.due_ms <= now)
    rows = [tuple(row) for row in c.execute(query.order_by(columns.number).limit(limit))]
    return [Delivery(row[_WIDTH], Webhook(*row[:_WIDTH]), *row[_WIDTH + 1 :]) for row in rows]


def next_due(c: Connection) -> int | None:
    """When the next delivery is due, in milliseconds."""
    found: int | None = c.scalar(sa.select(sa.func.min(webhook_deliveries.c.due_ms)))
    return found


def postpone(c: Connection, delivery: Delivery, until_ms: int) -> None:
    values = {"due_ms": until_ms, "attempts": delivery.attempts + 1}
    c.execute(webhook_deliveries.update().where(webhook_deliveries.c.number == delivery.number).values(values))


def forget(c: Connection, delivery: Delivery) -> None:
    c.execute(webhook_deliveries.delete().where(webhook_deliveries.c.number == delivery.number))


def _set_events(c: Connection, webhook: int, events: Sequence[str]) -> None:
    c.execute(webhook_events.delete().where(webhook_events.c.webhook == webhook))
    for event in dict.fromkeys(events):
        c.execute(webhook_events.insert().values(webhook=webhook, event=event))


_SELECT = sa.select(
    webhooks.c.number,
    webhooks.c.scope,
    webhooks.c.webhook_id,
    webhooks.c.name,
    webhooks.c.url,
    webhooks.c.description,
    webhooks.c.status,
    webhooks.c.created_ms,
    webhooks.c.updated_ms,
)
_WIDTH = 9
