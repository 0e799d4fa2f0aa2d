"""Which rows hang on which: what goes when a workspace or a run goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store import evaluation_tables as evaluation
from lazulite.store import review_tables as review
from lazulite.store import run_tables as run
from lazulite.store import trace_tables as trace
from lazulite.store import webhook_tables as webhook
from lazulite.store.experiments import workspace_number

T = TypeVar("T")
_CHUNK = 500
_NAMES: sa.BindParameter[list[str]] = sa.bindparam("names", expanding=True)


def delete_workspace(c: Connection, workspace_id: str) -> None:
    """Remove all that MLflow's clients and jobs left in a workspace: experiments, runs, traces and what hangs on them.

    Its resources and sealed secrets are others' to remove.
    """
    workspace = workspace_number(workspace_id)
    for table in OF_WORKSPACES:
        _delete(c, table, table.c.workspace == workspace)


def delete_runs(c: Connection, workspace_id: str, run_ids: Iterable[str]) -> list[str]:
    """Remove runs with those below them and all that was logged to them; return the ids of what there was.

    Models and traces that came of them stay, and name them no more.
    """
    workspace, found = workspace_number(workspace_id), dict[int, str]()
    which: sa.ColumnElement[bool] = run.runs.c.key.in_(_NAMES)
    names = [run_id.lower() for run_id in run_ids]
    while names:
        query = sa.select(run.runs.c.number, run.runs.c.run_id).where(run.runs.c.workspace == workspace, which)
        level = dict(row for some in _chunks(names) for row in c.execute(query, {"names": some}).tuples())
        names = [level[number] for number in level.keys() - found.keys()]
        found |= level
        which = ~run.runs.c.job & run.runs.c.parent.in_(_NAMES)
    for some in _chunks(list(found)):
        _delete(c, run.runs, run.runs.c.number.in_(some))
        _unname(c, workspace, [found[number] for number in some])
    return list(found.values())


def _unname(c: Connection, workspace: int, run_ids: list[str]) -> None:
    """Take the names of runs that are gone from what stays: a run made later under one of them is another."""
    for column in (run.runs.c.created_in, run.logged_models.c.run_id, trace.traces.c.created_in):
        table = column.table
        c.execute(table.update().where(table.c.workspace == workspace, column.in_(run_ids)).values({column: None}))
    for table, owner in ((trace.trace_runs, trace.traces), (run.logged_model_metrics, run.logged_models)):
        number = table.c[OWNED[owner][0]]
        mine = sa.select(owner.c.number).where(owner.c.workspace == workspace)
        c.execute(table.delete().where(table.c.run_id.in_(run_ids), number.in_(mine)))
    mine = sa.select(run.experiments.c.number).where(run.experiments.c.workspace == workspace)
    source = review.issues.c.source_run_id
    c.execute(
        review.issues.update().where(source.in_(run_ids), review.issues.c.experiment.in_(mine)).values({source: None})
    )


def _chunks(values: list[T]) -> Iterator[list[T]]:
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


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
