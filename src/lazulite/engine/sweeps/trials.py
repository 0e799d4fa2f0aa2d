"""The trials of a sweep in the store: jobs named `<sweep>_<number>`, below their sweep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.numbers import whole_number
from lazulite.engine.jobs.record import JOBS
from lazulite.engine.sweeps.sampling import Known
from lazulite.model import job_status
from lazulite.model.job_status import JobState, JobStatus
from lazulite.model.search_space import Point, Values
from lazulite.model.sweep import texts, trial_properties
from lazulite.store import resources, run_data, runs
from lazulite.store.resources import Json, Resource
from lazulite.store.tables import resources as table

_STATES = sa.select(table.c.name, table.c.state).where(table.c.parent == sa.bindparam("parent"), table.c.type == JOBS)


def name_of(sweep: str, number: int) -> str:
    return f"{sweep}_{number}"


def parent_key(key: str) -> str | None:
    """The key of the sweep that a job of this key would be a trial of, by its name."""
    parent, _, number = key.rpartition("_")
    return parent if parent and whole_number(number) is not None else None


def states(c: Connection, sweep: Resource) -> dict[int, JobState]:
    rows = c.execute(_STATES, {"parent": sweep.key})
    return {int(row.name.rpartition("_")[2]): JobState(row.state) for row in rows}


def drawn(c: Connection, sweep: Resource) -> dict[int, Point]:
    """Where each trial lies in the search space."""
    rows = resources.children(c, sweep.key, JOBS)
    return {int(row.spec["trial"]["number"]): _point(row.spec["trial"]["point"]) for row in rows}


def known(points: Mapping[int, Point], over: Mapping[int, float | None]) -> list[Known]:
    return [Known(number, point, number in over, over.get(number)) for number, point in sorted(points.items())]


def histories(c: Connection, sweep: Resource, numbers: Iterable[int], metric: str) -> dict[int, list[float]]:
    """The values of a metric of these trials, in the order of their steps and times."""
    names = {name_of(sweep.name, number): number for number in numbers}
    found = runs.get_many(c, arm_id.workspace_of(sweep.id), names) if names else {}
    return {
        names[name]: [point.value for point in run_data.history(c, run.number, metric)] for name, run in found.items()
    }


def create(c: Connection, sweep: Resource, number: int, point: Point, values: Values, at: str) -> None:
    """Make a trial: its job and its run. Raises AlreadyExists and RunExists."""
    workspace = arm_id.workspace_of(sweep.id)
    name = name_of(sweep.name, number)
    parent = runs.get(c, workspace, sweep.name)
    properties = sweep.properties
    experiment = parent.experiment_name if parent else str(properties.get("experimentName") or "Default")
    tags = {"hyperparameters": json.dumps(values)}
    root = str(sweep.spec.get("rootRun") or sweep.name)
    spec: Json = {
        "properties": {
            **trial_properties(properties, values),
            "experimentName": experiment,
            "displayName": name,
            "description": None,
            "tags": tags,
            "properties": {},
            "services": None,
            "isArchived": False,
        },
        "submittedBy": sweep.spec.get("submittedBy", ""),
        "resolved": sweep.spec.get("resolved") or {},
        "parent": sweep.name,
        "rootRun": root,
        **{name: sweep.spec[name] for name in ("defaultDatastore",) if name in sweep.spec},
        "trial": {"number": number, "point": point, "values": values},
    }
    new = resources.new(
        f"{workspace}/jobs/{name}",
        JOBS,
        spec,
        status=job_status.document(_begun(at)),
        state=JobState.NOT_STARTED.value,
    )
    # Its address is any job's; below its sweep, it does not stand in the list of a workspace's jobs.
    resources.insert(c, new.with_(parent=sweep.key), by=sweep.created_by)
    runs.create(
        c,
        workspace,
        name,
        experiment_name=experiment,
        name=name,
        user=sweep.created_by,
        tags=tags,
        status="SCHEDULED",
        parent=sweep.name,
        root=root,
        job=True,
    )


def stop(c: Connection, sweep: Resource, number: int, reason: str) -> None:
    """Ask for a trial's end. Does nothing where that was done, or the trial is over or gone."""
    trial = resources.get(c, f"{arm_id.workspace_of(sweep.id)}/jobs/{name_of(sweep.name, number)}")
    if trial is None or trial.state in job_status.TERMINAL or trial.spec.get("desired") == "Canceled":
        return
    spec = {**trial.spec, "desired": "Canceled"}
    resources.update(c, trial.with_(spec=spec), by=sweep.created_by, etag=trial.etag)
    resources.record(c, trial.id, "cancel", {"by": "sweep", "reason": reason})


def log_params(c: Connection, sweep: Resource, number: int) -> None:
    """Log what was drawn to the trial's run, but for what its own script logged, perhaps written otherwise."""
    workspace, name = arm_id.workspace_of(sweep.id), name_of(sweep.name, number)
    trial, run = resources.get(c, f"{workspace}/jobs/{name}"), runs.get(c, workspace, name)
    if trial is None or run is None:
        return
    logged = run_data.params_of(c, [run.number])[run.number]
    values = texts(trial.spec["trial"]["values"])
    run_data.log_params(c, run.number, {key: value for key, value in values.items() if key not in logged})


def status(c: Connection, sweep: Resource, number: int) -> JobStatus | None:
    found = resources.get(c, f"{arm_id.workspace_of(sweep.id)}/jobs/{name_of(sweep.name, number)}")
    return None if found is None else job_status.read(found.status)


def _begun(at: str) -> JobStatus:
    return JobStatus(state=JobState.NOT_STARTED, states=[job_status.Passage(JobState.NOT_STARTED, at)])


def _point(stored: Json) -> Point:
    return {name: value if isinstance(value, int) else float(value) for name, value in stored.items()}
