"""`runs/*` that make, read and end runs."""

from __future__ import annotations

import random
import uuid

from sqlalchemy.engine import Connection

from lazulite.store import archive
from lazulite.store import runs as run_store
from lazulite.store.runs import NAME_TAG, PARENT_TAG, STATUSES
from lazulite.tracking.call import Call
from lazulite.tracking.documents import Json, pairs, run_documents, run_info, run_tags
from lazulite.tracking.errors import does_not_exist, invalid
from lazulite.tracking.fields import MAX_TAG_VALUE, check_name, shortened

_STATUS_NUMBERS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_ADJECTIVES = (
    "able bold brave calm clean clever cool eager fair fine glad keen kind loud neat proud quick rare sharp wise"
)
_NOUNS = "ant bear crab crow deer dove duck elk fish fox goat hare hawk jay lark mole moth newt owl seal swan toad wolf"


async def create(call: Call) -> Json:
    fields = call.fields
    experiment_id = fields.maybe_text("experiment_id") or None
    start_ms, name = fields.maybe_integer("start_time"), fields.maybe_text("run_name") or ""
    user = fields.maybe_text("user_id") or call.principal.name
    tags = dict(tag(key, value, f"tags[{n}].key") for n, (key, value) in enumerate(fields.pairs("tags")))
    if name and tags.get(NAME_TAG, name) != name:
        raise invalid(
            f"Both 'run_name' argument and '{NAME_TAG}' tag are specified, but with different values "
            f"(run_name='{name}', {NAME_TAG}='{tags[NAME_TAG]}')."
        )
    name = tags.pop(NAME_TAG, "") or name or _random_name()

    def write(c: Connection) -> Json:
        experiment = call.experiment(c, experiment_id or "0", write=True)
        if experiment.lifecycle != "active":
            raise invalid(
                f"The experiment {experiment.id} must be in the 'active' state. "
                f"Current state is {experiment.lifecycle}."
            )
        run = run_store.create(
            c,
            call.workspace,
            uuid.uuid4().hex,
            experiment=experiment,
            name=name,
            user=user,
            tags=tags,
            start_ms=start_ms,
            created_in=call.principal.run,
        )
        stored = {key: value for key, value in tags.items() if key != PARENT_TAG}
        return {"run": {"info": run_info(call, run), "data": {"tags": pairs(run_tags(run, stored))}, "inputs": {}}}

    return await call.write(write)


async def get(call: Call) -> Json:
    run_id = call.fields.run_id()
    return await call.read(lambda c: {"run": run_documents(c, call, [call.run(c, run_id)])[0]})


async def update(call: Call) -> Json:
    fields = call.fields
    run_id, name = fields.run_id(), fields.maybe_text("run_name")
    status, end_ms = _status(fields.values.get("status")), fields.maybe_integer("end_time")

    def write(c: Connection) -> Json:
        run = call.run_to_write(c, run_id)
        if run.job:
            # Whether a job has ended is for the platform to say: its process may still upload outputs.
            _rename(c, call, run_id, name)
        else:
            run_store.set_status(c, call.workspace, run_id, status or run.status, end_ms=end_ms)
            _rename(c, call, run_id, name)
        return {"run_info": run_info(call, call.run(c, run_id))}

    return await call.write(write)


async def delete(call: Call) -> Json:
    return await _set_lifecycle(call, "deleted")


async def restore(call: Call) -> Json:
    return await _set_lifecycle(call, "active")


async def set_tag(call: Call) -> Json:
    run_id = call.fields.run_id()
    key, value = tag(call.fields.text("key"), call.fields.maybe_text("value"))

    def write(c: Connection) -> None:
        run_store.write_tags(c, call.run_to_write(c, run_id).number, {key: value})

    await call.write(write)
    return {}


async def delete_tag(call: Call) -> Json:
    run_id, key = call.fields.run_id(), call.fields.text("key")

    def write(c: Connection) -> None:
        call.run_to_write(c, run_id)
        if not run_store.delete_tag(c, call.workspace, run_id, key):
            raise does_not_exist(f"No tag with name: {key} in run with id {run_id}")

    await call.write(write)
    return {}


def tag(key: str | None, value: str | None, path: str = "key") -> tuple[str, str]:
    """A run's tag, checked. Raises ApiError INVALID_PARAMETER_VALUE."""
    return check_name(key, path, kind=path), shortened(MAX_TAG_VALUE, value)


def _rename(c: Connection, call: Call, run_id: str, name: str | None) -> None:
    if name:
        run_store.rename(c, call.workspace, run_id, name)


async def _set_lifecycle(call: Call, lifecycle: str) -> Json:
    run_id = call.fields.run_id()

    def write(c: Connection) -> None:
        call.run_to_write(c, run_id, lifecycle=None)
        archive.set_run(c, call.workspace, run_id, lifecycle == "deleted")

    await call.write(write)
    return {}


def _status(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, int):
        value = _STATUS_NUMBERS.get(value, value)
    if value not in STATUSES:
        raise invalid(f"Invalid value '{value}' for parameter 'status' supplied: there is {', '.join(STATUSES)}.")
    return str(value)


def _random_name() -> str:
    words = random.choice(_ADJECTIVES.split()), random.choice(_NOUNS.split())  # noqa: S311  a name, not a secret
    return f"{words[0]}-{words[1]}-{random.randrange(1000)}"  # noqa: S311
