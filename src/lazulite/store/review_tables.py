"""The tables of people's review of traces: issues found, questions asked, queues of what is to be looked at.

`document` is what clients read, as JSON; the other columns are what searches compare.
"""

from __future__ import annotations

import sqlalchemy as sa

from lazulite.store.run_tables import Number, owner
from lazulite.store.tables import metadata


def _of_experiment(name: str, id_name: str, *columns: sa.Column[str], unique: tuple[str, ...] = ()) -> sa.Table:
    constraints = [sa.UniqueConstraint("experiment", *unique)] if unique else []
    return sa.Table(
        name,
        metadata,
        sa.Column("number", Number, primary_key=True),
        sa.Column("experiment", sa.BigInteger, nullable=False, index=True),
        sa.Column(id_name, sa.String, nullable=False, unique=True),
        *columns,
        sa.Column("document", sa.LargeBinary, nullable=False),
        *constraints,
    )


issues = _of_experiment(
    "issues",
    "issue_id",
    sa.Column("status", sa.String, nullable=False),  # pending | rejected | resolved
    sa.Column("severity", sa.String),  # not_an_issue | low | medium | high
    sa.Column("source_run_id", sa.String),
)

label_schemas = _of_experiment(
    "label_schemas", "schema_id", sa.Column("name", sa.String, nullable=False), unique=("name",)
)

#: `name_key` is the name in lower case.
review_queues = _of_experiment(
    "review_queues", "queue_id", sa.Column("name_key", sa.String, nullable=False), unique=("name_key",)
)

review_queue_users = sa.Table(
    "review_queue_users", metadata, owner("queue"), sa.Column("user", sa.String, primary_key=True)
)

#: `item_id` is a trace's.
review_queue_items = sa.Table(
    "review_queue_items",
    metadata,
    owner("queue"),
    sa.Column("item_id", sa.String, primary_key=True),
    sa.Column("status", sa.String, nullable=False),  # PENDING | COMPLETE | DECLINED
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Index("review_queue_items_item", "item_id"),
)
