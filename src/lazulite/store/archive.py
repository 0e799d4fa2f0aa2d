"""A job that is archived and a run that is deleted are the same: both records change together."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store import resources
from lazulite.store import runs as run_store
from lazulite.store.experiments import Experiment, workspace_number
from lazulite.store.run_tables import runs


def set_run(c: Connection, workspace_id: str, run_id: str, archived: bool) -> None:
    """Delete or restore a run, and archive or restore its job where it has one. Raises NoSuchRun."""
    run_store.set_lifecycle(c, workspace_id, run_id, _LIFECYCLES[archived])
    resources.set_archived(c, [f"{workspace_id}/jobs/{run_id}"], archived)


def set_runs_of(c: Connection, workspace_id: str, experiment: Experiment, archived: bool) -> None:
    """`set_run` for every run of an experiment: they go and come with it."""
    of_jobs = sa.select(runs.c.run_id).where(
        runs.c.workspace == workspace_number(workspace_id), runs.c.experiment == experiment.number, runs.c.job
    )
    resources.set_archived(c, [f"{workspace_id}/jobs/{name}" for name in c.scalars(of_jobs)], archived)
    run_store.set_lifecycle_in(c, experiment.number, _LIFECYCLES[archived])


_LIFECYCLES = {False: "active", True: "deleted"}
