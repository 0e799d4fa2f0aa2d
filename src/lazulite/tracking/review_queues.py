"""`review-queues/*`: traces that people are to look at, whose turn it is, and how far they are."""

from __future__ import annotations

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.clock import now_ms
from lazulite.store import reviews as store
from lazulite.store import traces as trace_store
from lazulite.store.experiments import Experiment
from lazulite.store.review_tables import review_queue_items, review_queue_users, review_queues
from lazulite.store.reviews import Found
from lazulite.tracking.call import Call
from lazulite.tracking.conditions import next_token, page_limits
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import already_exists, does_not_exist, invalid
from lazulite.tracking.fields import Fields, missing
from lazulite.tracking.label_schemas import active, unknown_ids

DEFAULT, MOST = 1000, 50_000
_TYPES = {1: "USER", 2: "CUSTOM"}
_STATUSES = {1: "PENDING", 2: "COMPLETE", 3: "DECLINED"}
_RESERVED, _LONGEST, _MOST_USERS, _ITEM = "default", 250, 10, 50


async def create(call: Call) -> Json:
    """A user's own queue is of that user alone and asks every question; others are of whom and what is chosen."""
    fields, owner = call.fields, call.principal.name
    experiment_id, name = fields.text("experiment_id"), fields.text("name")
    kind, users, schemas = _enumerated("queue_type", fields, _TYPES), _users(fields), _ids(fields, "schema_ids", 36)
    if kind == "USER":
        name = _user(name)
        if users not in ([], [name]):
            raise invalid("A user queue must have exactly one assigned user equal to its name.")
        if schemas:
            raise invalid("A user queue cannot have explicitly-attached schemas.")
        users = [name]
    else:
        name = _custom_name(name)

    def write(c: Connection) -> Json:
        experiment = active(c, call, experiment_id)
        _check_free(c, experiment.number, name)
        _check_schemas(c, experiment.number, experiment_id, schemas)
        return {"review_queue": _insert(c, experiment, kind, name, owner, users, schemas)}

    return await call.write(write)


async def of_user(call: Call) -> Json:
    """A user's own queue, made if need be."""
    experiment_id, name = call.fields.text("experiment_id"), _user(call.fields.text("user"))

    def write(c: Connection) -> Json:
        experiment = active(c, call, experiment_id)
        found = _by_name(c, experiment.number, name)
        if found is None:
            return {"review_queue": _insert(c, experiment, "USER", name, name, [name], [])}
        if found.document["queue_type"] != "USER":
            raise already_exists(f"A non-user queue named '{name}' already exists.")
        return {"review_queue": found.document}

    return await call.write(write)


async def get(call: Call) -> Json:
    return await call.read(lambda c: {"review_queue": _get(c, call).document})


async def get_by_name(call: Call) -> Json:
    experiment_id, name = call.fields.text("experiment_id"), call.fields.text("name")

    def read(c: Connection) -> Json:
        found = _by_name(c, active(c, call, experiment_id, write=False).number, name)
        if found is None:
            raise does_not_exist(f"Review queue with name '{name}' not found for experiment '{experiment_id}'.")
        return {"review_queue": found.document}

    return await call.read(read)


async def page(call: Call) -> Json:
    """The newest first: all, or those of a user, or those that hold an item."""
    fields = call.fields
    experiment_id, user, item = fields.text("experiment_id"), fields.maybe_text("user"), fields.maybe_text("item_id")
    limit, offset = _limits(fields)

    def read(c: Connection) -> Json:
        number = review_queues.c.number
        query = store.in_workspace(call.workspace, review_queues)
        query = query.where(review_queues.c.experiment == active(c, call, experiment_id, write=False).number)
        for table, column, value in (
            (review_queue_users, review_queue_users.c.user, user.strip().lower() if user else None),
            (review_queue_items, review_queue_items.c.item_id, item),
        ):
            if value is not None:
                query = query.where(sa.exists().where(table.c.queue == number, column == value))
        found = store.page(c, query.order_by(number.desc()), limit + 1, offset)
        return _page("review_queues", [one.document for one in found], limit, offset)

    return await call.read(read)


async def update(call: Call) -> Json:
    """Questions are fixed from when there is something to be asked about."""
    fields, changed = call.fields, dict[str, Any]()
    if (name := fields.maybe_text("name")) is not None:
        changed["name"] = _custom_name(name)
    if (owner := fields.maybe_text("new_owner")) is not None:
        changed["created_by"] = _text("new_owner", owner.strip(), _LONGEST)
    if fields.values.get("update_users") is True:
        changed["users"] = _users(fields)
    if fields.values.get("update_schema_ids") is True:
        changed["schema_ids"] = _ids(fields, "schema_ids", 36)

    def write(c: Connection) -> Json:
        found = _get(c, call)
        if found.document["queue_type"] == "USER":
            raise invalid("A user queue's name, assigned user, schemas, and owner are fixed and cannot be updated.")
        _apply(c, found, changed)
        return {"review_queue": _get(c, call).document}

    return await call.write(write)


async def delete(call: Call) -> Json:
    """A queue that is not there is as good as deleted."""
    call.check_not_a_job("delete review queues")
    queue_id = call.fields.text("queue_id")

    def write(c: Connection) -> None:
        if found := store.get(c, call.workspace, review_queues, "queue_id", queue_id):
            store.delete_queue(c, found.number)

    await call.write(write)
    return {}


async def add_items(call: Call) -> Json:
    ids = _item_ids(call.fields)
    if "item_type" in call.fields and call.fields.values["item_type"] not in ("TRACE", 1, 0):
        raise invalid(f"`item_type` must be trace; got '{call.fields.values['item_type']}'.")

    def write(c: Connection) -> Json:
        queue, now = _get(c, call), now_ms()
        found = trace_store.get_many(c, call.workspace, ids)
        there = {trace.trace_id for trace in found if trace.experiment_number == queue.experiment}
        if wrong := [one for one in ids if one not in there]:
            queue_id, experiment_id = queue.document["queue_id"], queue.document["experiment_id"]
            raise does_not_exist(
                f"Cannot attach trace(s) {wrong} to review queue '{queue_id}': they do not exist in experiment "
                f"'{experiment_id}'."
            )
        known = {one["item_id"]: one for one in _items(c, queue.number, ids)}
        new: Json = {"queue_id": queue.document["queue_id"], "item_type": "TRACE", "status": "PENDING"}
        new |= {"creation_time_ms": now, "last_update_time_ms": now}
        for one in ids:
            if one not in known:
                known[one] = {**new, "item_id": one}
                store.put_item(c, queue.number, one, known[one])
        return {"items": [known[one] for one in ids]}

    return await call.write(write)


async def remove_items(call: Call) -> Json:
    ids = _item_ids(call.fields)
    await call.write(lambda c: store.delete_items(c, _get(c, call).number, ids))
    return {}


async def items(call: Call) -> Json:
    fields = call.fields
    status = _enumerated("status", fields, _STATUSES) if fields.values.get("status") not in _UNSAID else None
    limit, offset = _limits(fields)

    def read(c: Connection) -> Json:
        where = [review_queue_items.c.status == status] if status else []
        return _page(
            "items", store.items(c, _get(c, call).number, *where, limit=limit + 1, offset=offset), limit, offset
        )

    return await call.read(read)


async def set_status(call: Call) -> Json:
    """Who completed or declined an item is who the client says, or else who calls."""
    fields = call.fields
    item_id, status = fields.text("item_id").strip(), _enumerated("status", fields, _STATUSES)
    by = fields.maybe_text("completed_by")
    if status == "PENDING" and by is not None:
        raise invalid("`completed_by` must not be set when reopening an item to `pending`.")
    by = _user(by or call.principal.name)

    def write(c: Connection) -> Json:
        queue = _get(c, call)
        found = _items(c, queue.number, [item_id])
        if not found:
            raise does_not_exist(f"Item '{item_id}' is not attached to review queue '{queue.document['queue_id']}'.")
        made, now = found[0], now_ms()
        if made["status"] != status:
            made = {key: value for key, value in made.items() if not key.startswith("completed_")}
            made |= {"status": status, "last_update_time_ms": now}
            if status != "PENDING":
                made |= {"completed_by": by, "completed_time_ms": now}
            store.put_item(c, queue.number, item_id, made)
        return {"item": made}

    return await call.write(write)


def _insert(
    c: Connection, experiment: Experiment, kind: str, name: str, owner: str, users: list[str], schemas: list[str]
) -> Json:
    now = now_ms()
    made: Json = {
        "queue_id": f"rq-{uuid.uuid4().hex}",
        "experiment_id": experiment.id,
        "name": name,
        "queue_type": kind,
        "created_by": owner,
        "creation_time_ms": now,
        "last_update_time_ms": now,
        "users": sorted(users),
        "schema_ids": sorted(schemas),
    }
    number = store.insert(c, review_queues, experiment.number, made, queue_id=made["queue_id"], name_key=name.lower())
    store.set_users(c, number, users)
    return made


def _apply(c: Connection, found: Found, changed: Json) -> None:
    if not changed:
        return
    known = found.document
    if "name" in changed and changed["name"].lower() != known["name"].lower():
        _check_free(c, found.experiment, changed["name"])
    if "schema_ids" in changed:
        if store.items(c, found.number, limit=1):
            raise invalid("A review queue's questions are locked once items are assigned to it.")
        _check_schemas(c, found.experiment, known["experiment_id"], changed["schema_ids"])
    sets: Json = {key: sorted(changed[key]) for key in ("users", "schema_ids") if key in changed}
    made = {**known, **changed, **sets, "last_update_time_ms": now_ms()}
    store.update(c, review_queues, found.number, made, name_key=made["name"].lower())
    if "users" in changed:
        store.set_users(c, found.number, changed["users"])


def _get(c: Connection, call: Call) -> Found:
    queue_id = call.fields.text("queue_id")
    found = store.get(c, call.workspace, review_queues, "queue_id", queue_id)
    if found is None:
        raise does_not_exist(f"Review queue with id '{queue_id}' not found.")
    return found


def _by_name(c: Connection, experiment: int, name: str) -> Found | None:
    columns = review_queues.c
    return store.first(c, review_queues, columns.experiment == experiment, columns.name_key == name.lower())


def _items(c: Connection, queue: int, ids: list[str]) -> list[Json]:
    return store.items(c, queue, review_queue_items.c.item_id.in_(ids))


def _check_free(c: Connection, experiment: int, name: str) -> None:
    if _by_name(c, experiment, name) is not None:
        raise already_exists(f"Review queue with name '{name}' already exists (names are case-insensitive).")


def _check_schemas(c: Connection, experiment: int, experiment_id: str, ids: list[str]) -> None:
    if wrong := unknown_ids(c, experiment, ids):
        raise invalid(f"Label schema id(s) {wrong} not found for experiment '{experiment_id}'.")


def _limits(fields: Fields) -> tuple[int, int]:
    most, token = fields.maybe_integer("max_results"), fields.maybe_text("page_token")
    return page_limits(most, token, default=DEFAULT, most=MOST)


def _page(name: str, documents: list[Json], limit: int, offset: int) -> Json:
    answer: Json = {name: documents[:limit]}
    if len(documents) > limit:
        answer["next_page_token"] = next_token(offset + limit)
    return answer


def _custom_name(name: str) -> str:
    found = _text("name", name.strip(), _LONGEST)
    if found.lower() == _RESERVED:
        raise invalid(f"`{found}` is a reserved queue name and cannot be used for a custom queue.")
    return found


def _users(fields: Fields) -> list[str]:
    found = list(dict.fromkeys(_user(one) for one in fields.texts("users")))
    if len(found) > _MOST_USERS:
        raise invalid(f"A review queue can have at most {_MOST_USERS} assigned users; got {len(found)}.")
    return found


def _user(name: str) -> str:
    return _text("user", name.strip().lower(), _LONGEST)


def _item_ids(fields: Fields) -> list[str]:
    found = _ids(fields, "item_ids", _ITEM)
    if not found:
        raise missing("item_ids")
    return found


def _ids(fields: Fields, name: str, longest: int) -> list[str]:
    return list(dict.fromkeys(_text(name, one.strip(), longest) for one in fields.texts(name)))


def _text(field: str, text: str, longest: int) -> str:
    if not 0 < len(text) <= longest:
        raise invalid(f"`{field}` must be a string of 1 to {longest} characters.")
    return text


def _enumerated(field: str, fields: Fields, names: dict[int, str]) -> str:
    value = fields.values.get(field)
    found = names.get(value) if isinstance(value, int) else value
    if found not in names.values():
        raise invalid(f"`{field}` must be one of {list(names.values())}; got '{value}'.")
    return str(found)


_UNSAID = (None, 0, "REVIEW_STATUS_UNSPECIFIED")
