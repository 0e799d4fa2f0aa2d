"""The tables of webhooks: who wants to hear of what, and what has yet to be told."""

from __future__ import annotations

import sqlalchemy as sa

from lazulite.store.run_tables import Number, owner
from lazulite.store.tables import metadata

#: The secret that signs deliveries is among the sealed ones, under `<workspace>/webhooks/<id>`.
webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("workspace", sa.BigInteger, nullable=False),
    sa.Column("scope", sa.String, nullable=False),  # of its secret, and what its changes are announced as
    sa.Column("webhook_id", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("url", sa.String, nullable=False),
    sa.Column("description", sa.String),
    sa.Column("status", sa.String, nullable=False),  # ACTIVE | DISABLED
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Index("webhooks_id", "workspace", "webhook_id", unique=True),
)

#: `event` is entity and action: `model_version.created`.
webhook_events = sa.Table("webhook_events", metadata, owner("webhook"), sa.Column("event", sa.String, primary_key=True))

#: Written in the transaction of what they tell of, removed once told or given up.
webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("webhook", sa.BigInteger, nullable=False, index=True),
    sa.Column("delivery_id", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # JSON, as it is sent
    sa.Column("due_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
)
