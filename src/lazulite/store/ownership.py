"""Which rows hang on which: what goes when a workspace goes."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store import evaluation_tables as evaluation
from lazulite.store import review_tables as review
from lazulite.store import run_tables as run
from lazulite.store import trace_tables as trace
from lazulite.store import webhook_tables as webhook
from lazulite.store.experiments import workspace_number


def delete_workspace(c: Connection, workspace_id: str) -> None:
    """Remove all that MLflow's clients and jobs left in a workspace: experiments, runs, traces and what hangs on them.

    Its resources and sealed secrets are others' to remove.
    """
    workspace = workspace_number(workspace_id)
    for table in OF_WORKSPACES:
        _delete(c, table, table.c.workspace == workspace)


def _delete(c: Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> None:
    column, owned = OWNED.get(table, ("", ()))
    for child in owned:
        _delete(c, child, child.c[column].in_(sa.select(table.c.number).where(where)))
    c.execute(table.delete().where(where))


#: Tables whose rows carry the number of their workspace.
OF_WORKSPACES = (
    run.runs,
    run.logged_models,
    trace.traces,
    run.experiments,
    evaluation.evaluation_datasets,
    webhook.webhooks,
)
#: All other rows hang on the `number` of a row of one of these: by which column, and in which tables.
OWNED: dict[sa.Table, tuple[str, tuple[sa.Table, ...]]] = {
    run.runs: (
        "run",
        (run.run_tags, run.run_params, run.metric_points, run.latest_metrics, run.run_datasets, run.run_models),
    ),
    run.logged_models: ("model", (run.logged_model_tags, run.logged_model_params, run.logged_model_metrics)),
    trace.traces: (
        "trace",
        (trace.trace_tags, trace.trace_metadata, trace.spans, trace.trace_numbers, trace.assessments, trace.trace_runs),
    ),
    run.experiments: (
        "experiment",
        (
            run.experiment_tags,
            run.datasets,
            evaluation.scorers,
            review.issues,
            review.label_schemas,
            review.review_queues,
        ),
    ),
    evaluation.scorers: ("scorer", (evaluation.scorer_versions,)),
    review.review_queues: ("queue", (review.review_queue_users, review.review_queue_items)),
    evaluation.evaluation_datasets: (
        "dataset",
        (
            evaluation.evaluation_dataset_tags,
            evaluation.evaluation_dataset_experiments,
            evaluation.evaluation_records,
        ),
    ),
    webhook.webhooks: ("webhook", (webhook.webhook_events, webhook.webhook_deliveries)),
}
