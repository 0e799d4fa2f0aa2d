"""Runs of a workspace: what MLflow calls a run and Azure ML shows as a job. Times are milliseconds since the epoch.

Every function takes the connection `Database` hands out. A run that a job stands for (`job=True`) has its document in
`resources`; its tags, name, status and experiment are here alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from lazulite.core.clock import now_ms
from lazulite.store import experiments as experiment_store
from lazulite.store.bulk import upsert
from lazulite.store.experiments import DEFAULT_ID, Experiment, workspace_number
from lazulite.store.run_tables import (
    experiments,
    run_params,
    run_tags,
    runs,
)
from lazulite.store.run_tables import (
    latest_metrics as latest_points,
)

STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
_TERMINAL = frozenset({"FINISHED", "FAILED", "KILLED"})

#: Tags that are columns of the run: written through, and made up again when read.
NAME_TAG = "mlflow.runName"
PARENT_TAG = "mlflow.parentRunId"
#: On the runs of jobs: the job that was submitted, by which all that belong to it are found, to any depth.
ROOT_TAG = "mlflow.rootRunId"


class Run(msgspec.Struct, frozen=True):
    """One run. `number` is what rows refer to it by, and the cursor of lists; `lifecycle` is active or deleted."""

    number: int
    run_id: str
    experiment_number: int
    experiment_id: str
    experiment_name: str
    name: str
    user: str
    status: str
    start_ms: int | None
    end_ms: int | None
    lifecycle: str
    artifact_uri: str | None
    parent: str | None
    created_in: str | None
    job: bool
    created_ms: int


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a metric; NaN and the infinities are themselves."""

    value: float
    timestamp: int
    step: int


class NoSuchRun(LookupError):
    """The workspace has no such run; the argument is its id."""


class NoSuchExperiment(LookupError):
    """The workspace has no such experiment; the argument is its id."""


class RunExists(Exception):
    """The workspace has a run of that id."""


def create(
    c: Connection,
    workspace_id: str,
    run_id: str,
    *,
    experiment_name: str | None = None,
    experiment_id: str | None = None,
    experiment: Experiment | None = None,
    name: str,
    user: str,
    tags: dict[str, str] | None = None,
    status: str = "RUNNING",
    start_ms: int | None = None,
    end_ms: int | None = None,
    parent: str | None = None,
    root: str | None = None,
    job: bool = False,
    created_in: str | None = None,
) -> Run:
    """Add a run to the experiment of that name (made if need be) or id, or one read before; without any, to `Default`.

    `root` is the job that a job below it was made for.

    Raises RunExists (which undoes the transaction: let it through) and NoSuchExperiment.
    """
    if experiment_name is not None:
        experiment = experiment_store.ensure(c, workspace_id, experiment_name)
    elif experiment is None:
        found = experiment_store.get(c, workspace_id, experiment_id or DEFAULT_ID, write=True)
        if found is None:
            raise NoSuchExperiment(experiment_id)
        experiment = found
    location = experiment.artifact_location
    own = dict(tags or {})
    parent = own.pop(PARENT_TAG, None) or parent
    of = (root or run_id) if job else _root_of(c, workspace_id, parent)
    if of is not None:
        own[ROOT_TAG] = of
    values: dict[str, Any] = {
        "workspace": workspace_number(workspace_id),
        "key": run_id.lower(),
        "run_id": run_id,
        "experiment": experiment.number,
        "name": own.pop(NAME_TAG, None) or name,
        "user": user,
        "status": status,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "lifecycle": "active",
        "artifact_uri": _below(location, f"{run_id}/artifacts") if location else None,
        "parent": parent,
        "created_in": created_in,
        "job": job,
        "created_ms": now_ms(),
    }
    try:
        number = int(c.execute(_INSERT, values).scalar_one())
    except sa.exc.IntegrityError:
        raise RunExists(run_id) from None
    if own:
        _UPSERT_TAG.run(c, [(number, key, value) for key, value in own.items()])
    del values["workspace"], values["key"], values["experiment"]
    return Run(
        number=number,
        experiment_number=experiment.number,
        experiment_id=experiment.id,
        experiment_name=experiment.name,
        **values,
    )


def _root_of(c: Connection, workspace_id: str, parent: str | None) -> str | None:
    """The root of the job that the run `parent` belongs to, None where it belongs to none."""
    return tags(c, workspace_id, [parent]).get(parent, {}).get(ROOT_TAG) if parent is not None else None


def get(c: Connection, workspace_id: str, run_id: str) -> Run | None:
    """The run, whatever its lifecycle stage. Ids are compared without case, as ARM's."""
    row = c.execute(_BY_KEY, {"workspace": workspace_number(workspace_id), "key": run_id.lower()}).first()
    return from_row(row) if row else None


def get_many(c: Connection, workspace_id: str, run_ids: Iterable[str]) -> dict[str, Run]:
    """Those of the runs that there are, by their id as stored."""
    keys = [run_id.lower() for run_id in run_ids]
    query = SELECT.where(runs.c.workspace == workspace_number(workspace_id), runs.c.key.in_(keys))
    return {run.run_id: run for run in map(from_row, c.execute(query))}


def list_clients_runs(
    c: Connection, workspace_id: str, *, cursor: int | None = None, limit: int = 100, lifecycle: str | None = "active"
) -> list[Run]:
    """Runs that MLflow clients made (no job stands for them) and that have no parent, newest first.

    `cursor` is the `number` the page before ended with; `lifecycle` None means all.
    """
    query = SELECT.where(runs.c.workspace == workspace_number(workspace_id), ~runs.c.job, runs.c.parent.is_(None))
    if cursor is not None:
        query = query.where(runs.c.number < cursor)
    if lifecycle is not None:
        query = query.where(runs.c.lifecycle == lifecycle)
    return [from_row(row) for row in c.execute(query.order_by(runs.c.number.desc()).limit(limit))]


def children(
    c: Connection, workspace_id: str, run_id: str, *, after: int | None = None, limit: int | None = None
) -> list[Run]:
    """The runs whose parent is `run_id`, oldest first; `after` is the `number` the page before ended with."""
    query = SELECT.where(runs.c.workspace == workspace_number(workspace_id), runs.c.parent == run_id)
    if after is not None:
        query = query.where(runs.c.number > after)
    query = query.order_by(runs.c.number)
    return [from_row(row) for row in c.execute(query if limit is None else query.limit(limit))]


def is_within(c: Connection, workspace_id: str, run: Run, ancestor: str) -> bool:
    """Whether `run` is `ancestor`, a descendant of it, or was made from inside one of these."""
    pending, seen = [run], {run.run_id.lower()}
    while pending:
        current = pending.pop()
        if current.run_id.lower() == ancestor.lower():
            return True
        above = {up for up in (current.parent, current.created_in) if up and up.lower() not in seen}
        seen |= {up.lower() for up in above}
        pending += get_many(c, workspace_id, above).values() if above else []
    return False


def set_status(
    c: Connection,
    workspace_id: str,
    run_id: str,
    status: str,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> None:
    """Change the status, and the times where given. A terminal status without `end_ms` ends now, unless it has ended.

    Raises NoSuchRun.
    """
    values: dict[str, Any] = {"status": status}
    if start_ms is not None:
        values["start_ms"] = start_ms
    if end_ms is not None:
        values["end_ms"] = end_ms
    elif status in _TERMINAL:
        values["end_ms"] = sa.func.coalesce(runs.c.end_ms, now_ms())
    _set(c, workspace_id, run_id, values)


def rename(c: Connection, workspace_id: str, run_id: str, name: str) -> None:
    """Raises NoSuchRun."""
    _set(c, workspace_id, run_id, {"name": name})


def set_lifecycle(c: Connection, workspace_id: str, run_id: str, lifecycle: str) -> None:
    """`active` or `deleted` (what Azure calls archived). Raises NoSuchRun."""
    _set(c, workspace_id, run_id, {"lifecycle": lifecycle})


def set_lifecycle_in(c: Connection, experiment: int, lifecycle: str) -> None:
    """`set_lifecycle` of every run of an experiment, by its number: they go and come with it."""
    c.execute(runs.update().where(runs.c.experiment == experiment).values(lifecycle=lifecycle))


def set_tags(c: Connection, workspace_id: str, run_id: str, new: dict[str, str]) -> None:
    """Add or replace tags. The name and the parent of a run are tags too. Raises NoSuchRun."""
    write_tags(c, _number(c, workspace_id, run_id), new)


def write_tags(c: Connection, number: int, new: dict[str, str]) -> None:
    """`set_tags` for the run of that number."""
    own = dict(new)
    columns = {"name": own.pop(NAME_TAG, None), "parent": own.pop(PARENT_TAG, None)}
    if changed := {column: value for column, value in columns.items() if value is not None}:
        c.execute(runs.update().where(runs.c.number == number).values(**changed))
    if own:
        _UPSERT_TAG.run(c, [(number, key, value) for key, value in own.items()])


def replace_tags(c: Connection, workspace_id: str, run_id: str, new: dict[str, str]) -> None:
    """Make these the run's tags, apart from what clients keep under `mlflow.`. Raises NoSuchRun."""
    number = _number(c, workspace_id, run_id)
    kept = run_tags.c.key.startswith("mlflow.", autoescape=True)
    c.execute(run_tags.delete().where(run_tags.c.run == number, ~kept))
    write_tags(c, number, new)


def delete_tag(c: Connection, workspace_id: str, run_id: str, key: str) -> bool:
    """Remove a tag; say whether it was there. Raises NoSuchRun."""
    number = _number(c, workspace_id, run_id)
    where = (run_tags.c.run == number) & (run_tags.c.key == key)
    return c.execute(run_tags.delete().where(where)).rowcount > 0


def tags(c: Connection, workspace_id: str, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """The tags of each of these runs, as stored (a run's name and parent are not among them)."""
    return _texts(c, run_tags, workspace_id, run_ids)


def params(c: Connection, workspace_id: str, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    return _texts(c, run_params, workspace_id, run_ids)


def latest_metrics(c: Connection, workspace_id: str, run_ids: Sequence[str]) -> dict[str, dict[str, Point]]:
    """The newest point of each metric of each of these runs."""
    found: dict[str, dict[str, Point]] = {run_id: {} for run_id in run_ids}
    numbers = _numbers(c, workspace_id, run_ids)
    for row in c.execute(sa.select(latest_points).where(latest_points.c.run.in_(list(numbers)))):
        value = float("nan") if row.is_nan else row.value
        found[numbers[row.run]][row.key] = Point(value, row.timestamp, row.step)
    return found


def ensure_experiment(c: Connection, workspace_id: str, name: str) -> str:
    """The id of the experiment of that name, made if need be."""
    return experiment_store.ensure(c, workspace_id, name).id


def from_row(row: Row[*tuple[Any, ...]]) -> Run:
    """The run of a row of `SELECT`."""
    values: tuple[Any, ...] = tuple(row)
    number, run_id, experiment, *rest, is_default = values
    return Run(number, run_id, experiment, DEFAULT_ID if is_default else str(experiment), *rest)


def _below(location: str, path: str) -> str:
    """That path below an address, whose query stays at its end."""
    parts = urlsplit(location)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}"))


def _set(c: Connection, workspace_id: str, run_id: str, values: dict[str, Any]) -> None:
    where = (runs.c.workspace == workspace_number(workspace_id)) & (runs.c.key == run_id.lower())
    if c.execute(runs.update().where(where).values(**values)).rowcount == 0:
        raise NoSuchRun(run_id)


def _number(c: Connection, workspace_id: str, run_id: str) -> int:
    run = get(c, workspace_id, run_id)
    if run is None:
        raise NoSuchRun(run_id)
    return run.number


def _numbers(c: Connection, workspace_id: str, run_ids: Sequence[str]) -> dict[int, str]:
    spelled = {run_id.lower(): run_id for run_id in run_ids}
    query = sa.select(runs.c.number, runs.c.key).where(
        runs.c.workspace == workspace_number(workspace_id), runs.c.key.in_(list(spelled))
    )
    return {row.number: spelled[row.key] for row in c.execute(query)}


def _texts(c: Connection, table: sa.Table, workspace_id: str, run_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {run_id: {} for run_id in run_ids}
    numbers = _numbers(c, workspace_id, run_ids)
    for row in c.execute(sa.select(table).where(table.c.run.in_(list(numbers)))):
        found[numbers[row.run]][row.key] = row.value
    return found


#: Runs with their experiments, in the order `from_row` reads.
SELECT = sa.select(
    runs.c.number,
    runs.c.run_id,
    runs.c.experiment,
    experiments.c.name.label("experiment_name"),
    runs.c.name,
    runs.c.user,
    runs.c.status,
    runs.c.start_ms,
    runs.c.end_ms,
    runs.c.lifecycle,
    runs.c.artifact_uri,
    runs.c.parent,
    runs.c.created_in,
    runs.c.job,
    runs.c.created_ms,
    experiments.c.is_default,
).join_from(runs, experiments, runs.c.experiment == experiments.c.number)
_BY_KEY = SELECT.where(runs.c.workspace == sa.bindparam("workspace"), runs.c.key == sa.bindparam("key"))
_INSERT = runs.insert().returning(runs.c.number)
_UPSERT_TAG = upsert(run_tags, ["value"])
