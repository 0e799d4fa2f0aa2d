"""`label-schemas/*`: the questions that reviewers are asked about the traces of an experiment."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.clock import now_ms
from lazulite.core.errors import ApiError
from lazulite.store import reviews as store
from lazulite.store.experiments import Experiment
from lazulite.store.review_tables import label_schemas
from lazulite.store.reviews import Found
from lazulite.tracking.call import Call
from lazulite.tracking.conditions import next_token, page_limits
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import already_exists, does_not_exist, invalid, no_such_experiment
from lazulite.tracking.fields import Fields, as_integer, as_number

DEFAULT, MOST = 100, 50_000
DEFAULT_NAME, DEFAULT_INSTRUCTION = "Feedback", "Share any feedback on this trace."
_TYPES = {1: "FEEDBACK", 2: "EXPECTATION"}
_MOST_OPTIONS, _LABEL, _NAME, _INSTRUCTION = 10, 64, 250, 1000


async def create(call: Call) -> Json:
    fields = call.fields
    name, experiment_id = _name(fields.text("name")), fields.text("experiment_id")
    made = _new(name, _type(fields.values.get("type")), _input(fields.values.get("input")))
    made |= {"enable_comment": fields.values.get("enable_comment") is True}
    if (instruction := _instruction(fields)) is not None:
        made["instruction"] = instruction

    def write(c: Connection) -> Json:
        experiment = active(c, call, experiment_id)
        _check_free(c, experiment.number, name, experiment_id)
        return {"label_schema": _insert(c, experiment, made)}

    return await call.write(write)


async def get(call: Call) -> Json:
    return await call.read(lambda c: {"label_schema": _get(c, call).document})


async def get_by_name(call: Call) -> Json:
    experiment_id, name = call.fields.text("experiment_id"), call.fields.text("name")

    def read(c: Connection) -> Json:
        experiment = active(c, call, experiment_id, write=False)
        columns = label_schemas.c
        found = store.first(c, label_schemas, columns.experiment == experiment.number, columns.name == name)
        if found is None:
            raise does_not_exist(f"Label schema with name '{name}' not found for experiment '{experiment_id}'.")
        return {"label_schema": found.document}

    return await call.read(read)


async def page(call: Call) -> Json:
    """The newest first. An experiment has one question of its own, from when somebody first asks for them."""
    experiment_id = call.fields.text("experiment_id")
    limit, offset = page_limits(
        call.fields.maybe_integer("max_results"), call.fields.maybe_text("page_token"), default=DEFAULT, most=MOST
    )

    def write(c: Connection) -> Json:
        experiment = active(c, call, experiment_id)
        columns = label_schemas.c
        if store.first(c, label_schemas, columns.experiment == experiment.number, columns.name == DEFAULT_NAME) is None:
            own = {"instruction": DEFAULT_INSTRUCTION, "enable_comment": False, "is_default": True}
            _insert(c, experiment, {**_new(DEFAULT_NAME, "FEEDBACK", {"text": {}}), **own})
        query = store.in_workspace(call.workspace, label_schemas).where(columns.experiment == experiment.number)
        found = store.page(c, query.order_by(columns.number.desc()), limit + 1, offset)
        answer: Json = {"label_schemas": [one.document for one in found[:limit]]}
        if len(found) > limit:
            answer["next_page_token"] = next_token(offset + limit)
        return answer

    return await call.write(write)


async def update(call: Call) -> Json:
    """The kind of a question and of its answers is fixed: what was answered would mean something else."""
    fields, changed = call.fields, dict[str, Any]()
    if (name := fields.maybe_text("name")) is not None:
        changed["name"] = _name(name)
    if (instruction := _instruction(fields)) is not None:
        changed["instruction"] = instruction
    if "enable_comment" in fields:
        changed["enable_comment"] = fields.values["enable_comment"] is True
    if "input" in fields:
        changed["input"] = _input(fields.values["input"])

    def write(c: Connection) -> Json:
        found = _get(c, call)
        known = found.document
        if known["is_default"]:
            raise invalid("The experiment's default question cannot be edited.")
        if "input" in changed:
            _check_same_kind(known["input"], changed["input"])
        if changed.get("name", known["name"]) != known["name"]:
            _check_free(c, found.experiment, changed["name"], known["experiment_id"])
        made = {**known, **changed, "last_updated_at": now_ms()}
        store.update(c, label_schemas, found.number, made, name=made["name"])
        return {"label_schema": made}

    return await call.write(write)


async def delete(call: Call) -> Json:
    """What was answered stays. A schema that is not there is as good as deleted."""
    call.check_not_a_job("delete label schemas")
    schema_id = call.fields.text("schema_id")

    def write(c: Connection) -> None:
        found = store.get(c, call.workspace, label_schemas, "schema_id", schema_id)
        if found is None:
            return
        if found.document["is_default"]:
            raise invalid("The experiment's default question cannot be deleted.")
        store.delete(c, label_schemas, found.number)

    await call.write(write)
    return {}


def active(c: Connection, call: Call, experiment_id: str, *, write: bool = True) -> Experiment:
    """An experiment that was not deleted. Raises ApiError 404, and 400 where the id could not be one."""
    found = call.experiment(c, experiment_id, write=write)
    if found.lifecycle != "active":
        raise no_such_experiment(experiment_id)
    return found


def unknown_ids(c: Connection, experiment: int, schema_ids: list[str]) -> list[str]:
    """Those of the ids that no schema of the experiment has."""
    columns = label_schemas.c
    query = sa.select(columns.schema_id).where(columns.experiment == experiment, columns.schema_id.in_(schema_ids))
    known = set(c.scalars(query))
    return [one for one in schema_ids if one not in known]


def _new(name: str, type_: str, input_: Json) -> Json:
    now = now_ms()
    schema_id = f"ls-{uuid.uuid4().hex}"
    document = {"schema_id": schema_id, "name": name, "type": type_, "input": input_, "is_default": False}
    return {**document, "created_at": now, "last_updated_at": now}


def _insert(c: Connection, experiment: Experiment, made: Json) -> Json:
    made = {**made, "experiment_id": experiment.id}
    store.insert(c, label_schemas, experiment.number, made, schema_id=made["schema_id"], name=made["name"])
    return made


def _get(c: Connection, call: Call) -> Found:
    schema_id = call.fields.text("schema_id")
    found = store.get(c, call.workspace, label_schemas, "schema_id", schema_id)
    if found is None:
        raise does_not_exist(f"Label schema with id '{schema_id}' not found.")
    return found


def _check_free(c: Connection, experiment: int, name: str, experiment_id: str) -> None:
    columns = label_schemas.c
    if store.first(c, label_schemas, columns.experiment == experiment, columns.name == name) is not None:
        raise already_exists(f"Label schema with name '{name}' already exists for experiment '{experiment_id}'.")


def _check_same_kind(known: Json, new: Json) -> None:
    if known.keys() != new.keys():
        raise invalid("A label schema's input type cannot be changed after creation.")
    options = [one.get("categorical", {}).get("multi_select", False) for one in (known, new)]
    if options[0] != options[1]:
        raise invalid("`InputCategorical.multi_select` cannot be changed after creation.")


def _name(name: str) -> str:
    if not 0 < len(name) <= _NAME:
        raise invalid(f"Label schema `name` must be a string of 1 to {_NAME} characters.")
    if name.strip().lower() == DEFAULT_NAME.lower():
        raise invalid(f"`{name}` is reserved for the experiment's default question.")
    return name


def _instruction(fields: Fields) -> str | None:
    found = fields.maybe_text("instruction")
    if found is not None and len(found) > _INSTRUCTION:
        raise invalid(f"Label schema `instruction` must be at most {_INSTRUCTION} characters; got {len(found)}.")
    return found


def _type(value: Any) -> str:
    found = _TYPES.get(value) if isinstance(value, int) else value
    if found not in _TYPES.values():
        raise invalid(f"Label schema `type` must be one of FEEDBACK or EXPECTATION; got '{value}'.")
    return str(found)


def _input(value: Any) -> Json:
    """How an answer is given: one of pass_fail, categorical, numeric and text, with what belongs to it."""
    kinds = [kind for kind in _INPUTS if isinstance(value, dict) and isinstance(value.get(kind), dict)]
    if len(kinds) != 1:
        raise invalid(f"Label schema `input` must have exactly one of {', '.join(_INPUTS)} set.")
    return {kinds[0]: _INPUTS[kinds[0]](Fields(value[kinds[0]]))}


def _pass_fail(fields: Fields) -> Json:
    found = {name: _label(fields.maybe_text(name)) for name in ("positive_label", "negative_label")}
    if len(set(found.values())) != 2:
        raise invalid("`InputPassFail.positive_label` and `negative_label` must be distinct.")
    return found


def _categorical(fields: Fields) -> Json:
    options = [_label(one) for one in fields.texts("options")]
    if not 0 < len(options) <= _MOST_OPTIONS or len(set(options)) != len(options):
        raise invalid(f"`InputCategorical.options` must be 1 to {_MOST_OPTIONS} different strings.")
    return {"options": options, "multi_select": fields.values.get("multi_select") is True}


def _numeric(fields: Fields) -> Json:
    names = [name for name in ("min_value", "max_value") if name in fields]
    found = {name: as_number(name, fields.values[name]) for name in names}
    if len(found) == 2 and not found["min_value"] < found["max_value"]:
        raise invalid("`InputNumeric.min_value` must be strictly less than `max_value`.")
    return found


def _text(fields: Fields) -> Json:
    if "max_length" not in fields:
        return {}
    found = as_integer("max_length", fields.values["max_length"])
    if found < 1:
        raise invalid(f"`InputText.max_length` must be at least 1; got {found}.")
    return {"max_length": found}


def _label(text: str | None) -> str:
    if not text or len(text) > _LABEL:
        raise _bad_label()
    return text


def _bad_label() -> ApiError:
    return invalid(f"Labels and options of a label schema's input are strings of 1 to {_LABEL} characters.")


_INPUTS: dict[str, Callable[[Fields], Json]] = {
    "pass_fail": _pass_fail,
    "categorical": _categorical,
    "numeric": _numeric,
    "text": _text,
}
