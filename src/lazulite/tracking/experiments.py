"""`experiments/*`."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.errors import ApiError
from lazulite.store import archive, run_data
from lazulite.store import experiments as experiment_store
from lazulite.store.experiments import Experiment, ExperimentExists, workspace_number
from lazulite.store.run_tables import experiment_tags, experiments
from lazulite.tracking.call import Call
from lazulite.tracking.conditions import Column, compare, keyed, next_token, page_limits
from lazulite.tracking.documents import Json, experiment_documents
from lazulite.tracking.errors import already_exists, does_not_exist, error, invalid, no_such_experiment
from lazulite.tracking.fields import (
    MAX_EXPERIMENT_NAME,
    MAX_EXPERIMENT_TAG_VALUE,
    check_length,
    check_name,
)
from lazulite.tracking.grammar import Grammar, Order
from lazulite.tracking.run_search import view

MOST = 50_000
MOST_SEARCHED_FOR_DATASETS = 20
EXPERIMENTS = Grammar(
    strings=frozenset({"name"}),
    numbers=frozenset({"creation_time", "last_update_time"}),
    orderable=frozenset({"name", "experiment_id", "creation_time", "last_update_time"}),
)
_COLUMNS: dict[str, Column] = {
    "name": experiments.c.name,
    "experiment_id": experiments.c.number,
    "creation_time": experiments.c.created_ms,
    "last_update_time": experiments.c.updated_ms,
}


async def create(call: Call) -> Json:
    name = _name(call.fields.text("name"))
    location = call.fields.maybe_text("artifact_location") or None
    if location and "#" in location:
        raise invalid("'artifact_location' URL can't include fragments or params.")
    tags = _tags(call)

    def write(c: Connection) -> Json:
        try:
            experiment = experiment_store.create(c, call.workspace, name, artifact_location=location)
        except ExperimentExists as exists:
            raise _taken(exists.experiment) from None
        experiment_store.set_tags(c, experiment, tags)
        return {"experiment_id": experiment.id}

    return await call.write(write)


async def get(call: Call) -> Json:
    experiment_id = call.fields.text("experiment_id")
    return await call.read(lambda c: _answer(c, call, call.experiment(c, experiment_id)))


async def get_by_name(call: Call) -> Json:
    name = call.fields.text("experiment_name")

    def read(c: Connection) -> Json:
        found = experiment_store.by_name(c, call.workspace, name)
        if found is None:
            raise does_not_exist(f"Could not find experiment with name '{name}'")
        return _answer(c, call, found)

    return await call.read(read)


async def update(call: Call) -> Json:
    call.check_not_a_job("rename experiments")
    experiment_id, name = call.fields.text("experiment_id"), call.fields.maybe_text("new_name")

    def write(c: Connection) -> None:
        experiment = call.experiment(c, experiment_id, write=True)
        if experiment.lifecycle != "active":
            raise error("INVALID_STATE", "Cannot rename a non-active experiment.")
        if name:
            try:
                experiment_store.rename(c, call.workspace, experiment, _name(name))
            except ExperimentExists as exists:
                raise _taken(exists.experiment) from None

    await call.write(write)
    return {}


async def delete(call: Call) -> Json:
    return await _set_lifecycle(call, "deleted")


async def restore(call: Call) -> Json:
    return await _set_lifecycle(call, "active")


async def set_tag(call: Call) -> Json:
    experiment_id = call.fields.text("experiment_id")
    key, value = _tag(call.fields.text("key"), call.fields.maybe_text("value"))

    def write(c: Connection) -> None:
        experiment = call.experiment(c, experiment_id, write=True)
        if experiment.lifecycle != "active":
            raise invalid(
                f"The experiment {experiment_id} must be in the 'active' state. Current state is {experiment.lifecycle}."
            )
        experiment_store.set_tags(c, experiment, {key: value})

    await call.write(write)
    return {}


async def delete_tag(call: Call) -> Json:
    experiment_id, key = call.fields.text("experiment_id"), call.fields.text("key")

    def write(c: Connection) -> None:
        if not experiment_store.delete_tag(c, call.experiment(c, experiment_id, write=True), key):
            raise does_not_exist(f"No tag with name: {key} in experiment with id {experiment_id}")

    await call.write(write)
    return {}


async def search(call: Call) -> Json:
    fields = call.fields
    comparisons = EXPERIMENTS.parse(fields.maybe_text("filter"))
    orders = EXPERIMENTS.parse_order(fields.texts("order_by"))
    stages = view(fields.maybe_text("view_type"))
    limit, offset = page_limits(
        fields.maybe_integer("max_results"), fields.maybe_text("page_token"), default=MOST, most=MOST
    )

    def read(c: Connection) -> Json:
        query = sa.select(experiments).where(
            experiments.c.workspace == workspace_number(call.workspace), experiments.c.lifecycle.in_(stages)
        )
        for one in comparisons:
            if one.kind == "tag":
                own = experiment_tags.c.experiment
                condition = keyed(c, experiment_tags, own, experiments.c.number, one.key, one.operator, one.value)
            else:
                condition = compare(c, _COLUMNS[one.key], one.operator, one.value)
            query = query.where(condition)
        found = [
            experiment_store.from_row(row)
            for row in c.execute(query.order_by(*_order(orders)).limit(limit + 1).offset(offset))
        ]
        document: Json = {"experiments": experiment_documents(c, call, found[:limit])}
        if len(found) > limit:
            document["next_page_token"] = next_token(offset + limit)
        return document

    await _ensure_default(call)
    return await call.read(read)


async def search_datasets(call: Call) -> Json:
    """The datasets that runs of these experiments read: the first 1,000 of them, as MLflow's server."""
    ids = call.fields.texts("experiment_ids")
    if not ids:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(ids) > MOST_SEARCHED_FOR_DATASETS:
        raise invalid(
            f"SearchDatasets request cannot specify more than {MOST_SEARCHED_FOR_DATASETS} experiment_ids. "
            f"Received {len(ids)} experiment_ids."
        )

    def read(c: Connection) -> Json:
        known = [experiment_store.get(c, call.workspace, one) for one in ids]
        visible = {experiment.number: experiment.id for experiment in known if experiment is not None}
        return {
            "dataset_summaries": [
                {
                    "experiment_id": visible[number],
                    "name": name,
                    "digest": digest,
                    **({"context": context} if context else {}),
                }
                for number, name, digest, context in run_data.datasets_in(c, list(visible), 1000)
            ]
        }

    return await call.read(read)


async def _set_lifecycle(call: Call, lifecycle: str) -> Json:
    call.check_not_a_job("delete or restore experiments")
    experiment_id = call.fields.text("experiment_id")

    def write(c: Connection) -> None:
        experiment = call.experiment(c, experiment_id, write=True)
        if experiment.lifecycle == lifecycle:
            raise no_such_experiment(experiment_id)  # as MLflow: of those in the other state there is none
        experiment_store.set_lifecycle(c, experiment, lifecycle)
        archive.set_runs_of(c, call.workspace, experiment, lifecycle == "deleted")

    await call.write(write)
    return {}


async def _ensure_default(call: Call) -> None:
    """Give the default experiment its row, so that searches find it like any other."""

    def get(c: Connection, *, write: bool) -> Experiment | None:
        return experiment_store.get(c, call.workspace, experiment_store.DEFAULT_ID, write=write)

    found = await call.read(lambda c: get(c, write=False))
    if found is not None and found.number < 0:
        await call.write(lambda c: get(c, write=True))


def _answer(c: Connection, call: Call, experiment: Experiment) -> Json:
    return {"experiment": experiment_documents(c, call, [experiment])[0]}


def _order(orders: list[Order]) -> list[Any]:
    keys = [_COLUMNS[o.key].asc() if o.ascending else _COLUMNS[o.key].desc() for o in orders]
    return keys or [experiments.c.is_default, experiments.c.created_ms.desc(), experiments.c.number.desc()]


def _name(name: str) -> str:
    return check_length("name", MAX_EXPERIMENT_NAME, name)


def _tags(call: Call) -> dict[str, str]:
    return dict(_tag(key, value) for key, value in call.fields.pairs("tags"))


def _tag(key: str | None, value: str | None) -> tuple[str, str]:
    return check_name(key), check_length("value", MAX_EXPERIMENT_TAG_VALUE, value or "")


def _taken(experiment: Experiment) -> ApiError:
    if experiment.lifecycle == "deleted":
        return already_exists(
            f"Experiment(name={experiment.name}) already exists, in deleted state. You can restore the experiment, or "
            "permanently delete the experiment to create a new one."
        )
    return already_exists(f"Experiment(name={experiment.name}) already exists.")
