"""The tables of experiments, runs and what is logged to them. Times are milliseconds since the epoch, as MLflow's.

A workspace is a tenant: experiments, runs and logged models carry its number (`workspace_number`). What belongs to a
run hangs on the run's own number, so that two workspaces may both have a run called `train`.
"""

from __future__ import annotations

import sqlalchemy as sa

from lazulite.store.tables import metadata

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up only INTEGER primary keys


def text_table(name: str, *key: sa.Column[int]) -> sa.Table:
    """key -> value, clustered by owner."""
    return sa.Table(
        name,
        metadata,
        *key,
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )


def owner(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=True)


#: `is_default` marks the experiment that clients know as "0"; all others are known by their number.
experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("workspace", sa.BigInteger, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False, default=False),
    sa.Column("artifact_location", sa.String),  # NULL: the workspace's artifact store
    sa.Column("lifecycle", sa.String, nullable=False),  # active | deleted
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("workspace", "name"),
    sa.Index(
        "experiments_default",
        "workspace",
        unique=True,
        sqlite_where=sa.text("is_default = 1"),
        postgresql_where=sa.text("is_default"),
    ),
    sqlite_autoincrement=True,
)

experiment_tags = text_table("experiment_tags", owner("experiment"))

#: `key` is the run id in lower case. `job` says that a job of that name is in `resources`.
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("workspace", sa.BigInteger, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("experiment", sa.BigInteger, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),  # MLflow's
    sa.Column("start_ms", sa.BigInteger),
    sa.Column("end_ms", sa.BigInteger),
    sa.Column("lifecycle", sa.String, nullable=False),  # active | deleted
    sa.Column("artifact_uri", sa.String),  # NULL: the workspace's artifact store
    sa.Column("parent", sa.String),  # run id
    sa.Column("created_in", sa.String),  # id of the run whose job token made this one
    sa.Column("job", sa.Boolean, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Index("runs_key", "workspace", "key", unique=True),
    sa.Index("runs_experiment", "experiment", sa.text("coalesce(start_ms, created_ms)")),  # the order of searches
    sa.Index("runs_parent", "workspace", "parent"),
    sa.Index(
        "runs_of_clients", "workspace", "number", sqlite_where=sa.text("job = 0"), postgresql_where=sa.text("not job")
    ),
)

run_tags = text_table("run_tags", owner("run"))
run_params = text_table("run_params", owner("run"))

#: Every point, once: sending a batch again changes nothing. NaN is `is_nan` with value 0, as SQLite has no NaN.
metric_points = sa.Table(
    "metric_points",
    metadata,
    owner("run"),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True),
    sa.Column("timestamp", sa.BigInteger, primary_key=True),
    sa.Column("value", sa.Double, primary_key=True),
    sa.Column("is_nan", sa.Boolean, primary_key=True),
    sqlite_with_rowid=False,
)

#: The newest point of each metric: what a run shows and what searches compare.
latest_metrics = sa.Table(
    "latest_metrics",
    metadata,
    owner("run"),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("timestamp", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("is_nan", sa.Boolean, nullable=False),
    sa.Column("experiment", sa.BigInteger, nullable=False),
    sa.Index("latest_metrics_value", "experiment", "key", "value", "is_nan"),
    sqlite_with_rowid=False,
)

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("experiment", sa.BigInteger, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("source_type", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("schema", sa.String),
    sa.Column("profile", sa.String),
    sa.UniqueConstraint("experiment", "name", "digest"),
)

run_datasets = sa.Table(
    "run_datasets",
    metadata,
    owner("run"),
    sa.Column("dataset", sa.BigInteger, primary_key=True),
    sa.Column("tags", sa.LargeBinary, nullable=False),  # JSON object
)

#: Logged models that a run read (`input`) or made (`output`).
run_models = sa.Table(
    "run_models",
    metadata,
    owner("run"),
    sa.Column("direction", sa.String, primary_key=True),
    sa.Column("model_id", sa.String, primary_key=True),
    sa.Column("step", sa.BigInteger, nullable=False),
)

logged_models = sa.Table(
    "logged_models",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("workspace", sa.BigInteger, nullable=False),
    sa.Column("model_id", sa.String, nullable=False),
    sa.Column("experiment", sa.BigInteger, nullable=False),
    sa.Column("run_id", sa.String),  # the run that made it
    sa.Column("name", sa.String, nullable=False),
    sa.Column("model_type", sa.String),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("status_message", sa.String),
    sa.Column("path", sa.String, nullable=False),  # folder of its files in the workspace's artifact container
    sa.Column("lifecycle", sa.String, nullable=False),
    sa.Column("created_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.Index("logged_models_id", "workspace", "model_id", unique=True),
    sa.Index("logged_models_experiment", "experiment", "created_ms"),
)

logged_model_tags = text_table("logged_model_tags", owner("model"))
logged_model_params = text_table("logged_model_params", owner("model"))

#: Metrics logged to a run and said to be of a model, maybe on a dataset.
logged_model_metrics = sa.Table(
    "logged_model_metrics",
    metadata,
    owner("model"),
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True),
    sa.Column("timestamp", sa.BigInteger, primary_key=True),
    sa.Column("value", sa.Double, nullable=False),
    sa.Column("is_nan", sa.Boolean, nullable=False),
    sa.Column("dataset_name", sa.String),
    sa.Column("dataset_digest", sa.String),
)
