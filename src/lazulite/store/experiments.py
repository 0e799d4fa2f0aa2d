"""Experiments: the named groups of runs of a workspace. The one known as "0", `Default`, is always there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from lazulite.core import arm_id
from lazulite.core.clock import now_ms
from lazulite.core.numbers import whole_number
from lazulite.store.run_tables import experiment_tags, experiments

DEFAULT_ID = "0"
DEFAULT_NAME = "Default"


@dataclass(frozen=True, slots=True)
class Experiment:
    """`id` is what clients know it by; `number` what rows refer to. Times in milliseconds."""

    number: int
    id: str
    name: str
    artifact_location: str | None
    lifecycle: str
    created_ms: int
    updated_ms: int


class ExperimentExists(Exception):
    """The workspace has an experiment of that name; `experiment` is it."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment.name)
        self.experiment = experiment


def workspace_number(workspace_id: str) -> int:
    """The number that rows carry for a workspace: 63 bits of a hash of its id, so that no table of them is needed."""
    digest = hashlib.blake2b(arm_id.key(workspace_id).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def create(
    c: Connection, workspace_id: str, name: str, *, artifact_location: str | None = None, is_default: bool = False
) -> Experiment:
    """Add an experiment. Raises ExperimentExists."""
    workspace, now = workspace_number(workspace_id), now_ms()
    if name == DEFAULT_NAME and not is_default:
        raise ExperimentExists(_default(c, workspace_id))
    found = c.execute(_BY_NAME, {"workspace": workspace, "name": name}).first()
    if found is not None:
        raise ExperimentExists(_experiment(found))
    values = {
        "workspace": workspace,
        "name": name,
        "is_default": is_default,
        "artifact_location": artifact_location,
        "lifecycle": "active",
        "created_ms": now,
        "updated_ms": now,
    }
    row = c.execute(experiments.insert().returning(experiments), values).one()
    return _experiment(row)


def ensure(c: Connection, workspace_id: str, name: str) -> Experiment:
    """The experiment of that name, made if need be; one that was deleted comes back."""
    found = by_name(c, workspace_id, name, write=True)
    if found is None:
        return create(c, workspace_id, name)
    if found.lifecycle != "active":
        set_lifecycle(c, found, "active")
    return found


def get(c: Connection, workspace_id: str, experiment_id: str, *, write: bool = False) -> Experiment | None:
    """The experiment that clients know by `experiment_id`.

    "0" is there without a row; with `write` it gets one, so that runs can refer to it.
    """
    workspace = workspace_number(workspace_id)
    if experiment_id == DEFAULT_ID:
        row = c.execute(_DEFAULT, {"workspace": workspace}).first()
        return _experiment(row) if row else (_default(c, workspace_id) if write else _UNBORN)
    number = whole_number(experiment_id)
    row = None if number is None else c.execute(_BY_NUMBER, {"workspace": workspace, "number": number}).first()
    return _experiment(row) if row else None


def numbers(c: Connection, workspace_id: str, experiment_ids: Iterable[str]) -> list[int]:
    """The numbers of those of these experiments that there are, in order."""
    wanted = set(experiment_ids)
    own = [number for one in wanted if one != DEFAULT_ID and (number := whole_number(one)) is not None]
    at = experiments.c.number.in_(own) & ~experiments.c.is_default
    if DEFAULT_ID in wanted:
        at |= experiments.c.is_default
    in_workspace = experiments.c.workspace == workspace_number(workspace_id)
    return list(c.scalars(sa.select(experiments.c.number).where(in_workspace, at).order_by(experiments.c.number)))


def by_name(c: Connection, workspace_id: str, name: str, *, write: bool = False) -> Experiment | None:
    """The experiment of that name, whatever its lifecycle stage."""
    if name == DEFAULT_NAME:
        row = c.execute(_DEFAULT, {"workspace": workspace_number(workspace_id)}).first()
        if row is None or row.name == DEFAULT_NAME:
            return get(c, workspace_id, DEFAULT_ID, write=write)
    row = c.execute(_BY_NAME, {"workspace": workspace_number(workspace_id), "name": name}).first()
    return _experiment(row) if row else None


def rename(c: Connection, workspace_id: str, experiment: Experiment, name: str) -> None:
    """Raises ExperimentExists."""
    taken = by_name(c, workspace_id, name, write=True)
    if taken is not None and taken.number != experiment.number:
        raise ExperimentExists(taken)
    _set(c, experiment, name=name)


def set_lifecycle(c: Connection, experiment: Experiment, lifecycle: str) -> None:
    _set(c, experiment, lifecycle=lifecycle)


def set_tags(c: Connection, experiment: Experiment, tags: dict[str, str]) -> None:
    for key, value in tags.items():
        where = (experiment_tags.c.experiment == experiment.number) & (experiment_tags.c.key == key)
        if c.execute(experiment_tags.update().where(where).values(value=value)).rowcount == 0:
            c.execute(experiment_tags.insert().values(experiment=experiment.number, key=key, value=value))


def delete_tag(c: Connection, experiment: Experiment, key: str) -> bool:
    where = (experiment_tags.c.experiment == experiment.number) & (experiment_tags.c.key == key)
    return c.execute(experiment_tags.delete().where(where)).rowcount > 0


def tags(c: Connection, numbers: Sequence[int]) -> dict[int, dict[str, str]]:
    """The tags of each of these experiments, by its number."""
    found: dict[int, dict[str, str]] = {number: {} for number in numbers}
    for row in c.execute(sa.select(experiment_tags).where(experiment_tags.c.experiment.in_(list(found)))):
        found[row.experiment][row.key] = row.value
    return found


def from_row(row: Row[Any]) -> Experiment:
    return _experiment(row)


def _set(c: Connection, experiment: Experiment, **values: Any) -> None:
    where = experiments.c.number == experiment.number
    c.execute(experiments.update().where(where).values(updated_ms=now_ms(), **values))


def _default(c: Connection, workspace_id: str) -> Experiment:
    row = c.execute(_DEFAULT, {"workspace": workspace_number(workspace_id)}).first()
    return _experiment(row) if row else create(c, workspace_id, DEFAULT_NAME, is_default=True)


def _experiment(row: Row[Any]) -> Experiment:
    return Experiment(
        row.number,
        DEFAULT_ID if row.is_default else str(row.number),
        row.name,
        row.artifact_location,
        row.lifecycle,
        row.created_ms,
        row.updated_ms,
    )


_UNBORN = Experiment(-1, DEFAULT_ID, DEFAULT_NAME, None, "active", 0, 0)
_OF_WORKSPACE = sa.select(experiments).where(experiments.c.workspace == sa.bindparam("workspace"))
_BY_NAME = _OF_WORKSPACE.where(experiments.c.name == sa.bindparam("name"))
_BY_NUMBER = _OF_WORKSPACE.where(experiments.c.number == sa.bindparam("number"), ~experiments.c.is_default)
_DEFAULT = _OF_WORKSPACE.where(experiments.c.is_default)
