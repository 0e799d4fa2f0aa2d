"""Scorers: what judges an application's answers, kept by experiment, name and version. Nothing here runs one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.clock import now_ms
from lazulite.store.evaluation_tables import scorer_versions, scorers
from lazulite.store.experiments import DEFAULT_ID
from lazulite.store.run_tables import experiments


@dataclass(frozen=True, slots=True)
class ScorerVersion:
    """`serialized` is JSON as the client wrote it."""

    experiment_id: str
    scorer_id: str
    name: str
    version: int
    serialized: str
    created_ms: int


def register(c: Connection, experiment: int, name: str, serialized: str) -> int:
    """Add a version, of a new scorer where there is none of that name; return its number, from 1."""
    number = _number(c, experiment, name)
    if number is None:
        values = {"experiment": experiment, "scorer_id": str(uuid.uuid4()), "name": name}
        number = c.execute(scorers.insert().returning(scorers.c.number), values).scalar_one()
    newest = c.scalar(sa.select(sa.func.max(scorer_versions.c.version)).where(scorer_versions.c.scorer == number)) or 0
    values = {"scorer": number, "version": newest + 1, "serialized": serialized, "created_ms": now_ms()}
    c.execute(scorer_versions.insert().values(values))
    return int(newest) + 1


def newest(c: Connection, experiment_numbers: Sequence[int]) -> list[ScorerVersion]:
    """The newest version of each scorer of these experiments, by experiment and name."""
    others = scorer_versions.alias()
    last = sa.select(sa.func.max(others.c.version)).where(others.c.scorer == scorers.c.number).scalar_subquery()
    query = _SELECT.where(scorers.c.experiment.in_(list(experiment_numbers)), scorer_versions.c.version == last)
    return [_version(row) for row in c.execute(query.order_by(*_BY_EXPERIMENT, scorers.c.name))]


def versions(c: Connection, experiment: int, name: str) -> list[ScorerVersion]:
    """Every version of a scorer, oldest first."""
    query = _SELECT.where(scorers.c.experiment == experiment, scorers.c.name == name)
    return [_version(row) for row in c.execute(query.order_by(scorer_versions.c.version))]


def delete(c: Connection, experiment: int, name: str, version: int | None = None) -> bool:
    """Remove a version, or without one the scorer with all of them; say whether there was any."""
    number, columns = _number(c, experiment, name), scorer_versions.c
    where = columns.scorer == number
    if version is not None:
        where &= columns.version == version
    deleted = c.execute(scorer_versions.delete().where(where)).rowcount
    if version is None:
        c.execute(scorers.delete().where(scorers.c.number == number))
    return deleted > 0


def _number(c: Connection, experiment: int, name: str) -> int | None:
    return c.scalar(sa.select(scorers.c.number).where(scorers.c.experiment == experiment, scorers.c.name == name))


def _version(row: Any) -> ScorerVersion:
    number, is_default, *rest = tuple(row)
    return ScorerVersion(DEFAULT_ID if is_default else str(number), *rest)


_SELECT = (
    sa.select(
        experiments.c.number,
        experiments.c.is_default,
        scorers.c.scorer_id,
        scorers.c.name,
        scorer_versions.c.version,
        scorer_versions.c.serialized,
        scorer_versions.c.created_ms,
    )
    .join_from(scorers, scorer_versions, scorer_versions.c.scorer == scorers.c.number)
    .join(experiments, experiments.c.number == scorers.c.experiment)
)
_BY_EXPERIMENT = (experiments.c.is_default.desc(), experiments.c.number)  # the order of their ids
