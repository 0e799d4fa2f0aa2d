"""The tables of what applications are evaluated with: datasets and scorers. Times are milliseconds."""

from __future__ import annotations

import sqlalchemy as sa

from lazulite.store.run_tables import Number, owner, text_table
from lazulite.store.tables import metadata

evaluation_datasets = sa.Table(
    "evaluation_datasets",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("workspace", sa.BigInteger, nullable=False),
    sa.Column("dataset_id", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("schema", sa.LargeBinary),  # JSON: the type of each field seen
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Column("created_by", sa.String),
    sa.Column("updated_by", sa.String),
    sa.Index("evaluation_datasets_id", "workspace", "dataset_id", unique=True),
)

evaluation_dataset_tags = text_table("evaluation_dataset_tags", owner("dataset"))

#: `experiment_id` as clients know it. A dataset may be said to be of an experiment that is not there yet.
evaluation_dataset_experiments = sa.Table(
    "evaluation_dataset_experiments",
    metadata,
    owner("dataset"),
    sa.Column("experiment_id", sa.String, primary_key=True),
)

#: Of equal inputs there is one record. `document` is the rest of it as JSON.
evaluation_records = sa.Table(
    "evaluation_records",
    metadata,
    owner("dataset"),
    sa.Column("record_id", sa.String, primary_key=True),
    sa.Column("input_hash", sa.String, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Index("evaluation_records_inputs", "dataset", "input_hash", unique=True),
    sa.Index("evaluation_records_order", "dataset", "created_ms", "record_id"),
)

scorers = sa.Table(
    "scorers",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("experiment", sa.BigInteger, nullable=False),
    sa.Column("scorer_id", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.UniqueConstraint("experiment", "name"),
)

scorer_versions = sa.Table(
    "scorer_versions",
    metadata,
    owner("scorer"),
    sa.Column("version", sa.BigInteger, primary_key=True),
    sa.Column("serialized", sa.Text, nullable=False),  # as the client wrote it; never run here
    sa.Column("created_ms", sa.BigInteger, nullable=False),
)
