"""`webhooks/*`: who is told of what happens in the registry. A secret goes in and never comes out."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Connection

from lazulite.core.clock import now_ms, utc_now
from lazulite.store import webhooks as store
from lazulite.store.webhooks import Webhook
from lazulite.tracking import webhook_events
from lazulite.tracking.call import Call
from lazulite.tracking.conditions import next_token, page_limits
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import does_not_exist, invalid
from lazulite.tracking.fields import Fields, missing
from lazulite.tracking.webhook_delivery import SECRET, Refused

DEFAULT, MOST = 100, 1000
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_STATUSES = {1: "ACTIVE", 2: "DISABLED"}
_ENTITIES = {
    1: "REGISTERED_MODEL", 2: "MODEL_VERSION", 3: "MODEL_VERSION_TAG", 4: "MODEL_VERSION_ALIAS", 5: "PROMPT",
    6: "PROMPT_VERSION", 7: "PROMPT_TAG", 8: "PROMPT_VERSION_TAG", 9: "PROMPT_ALIAS", 10: "BUDGET_POLICY",
}  # fmt: skip
_ACTIONS = {1: "CREATED", 2: "UPDATED", 3: "DELETED", 4: "SET", 5: "EXCEEDED"}


async def create(call: Call) -> Json:
    call.check_not_a_job("make webhooks")
    fields = call.fields
    name, url, events = _name(fields.text("name")), fields.text("url"), _events(fields)
    if not events:
        raise missing("events")
    description, secret = fields.maybe_text("description") or None, fields.maybe_text("secret")
    status = _status(fields) or "ACTIVE"
    _check_url(call, url)

    def write(c: Connection) -> Json:
        made = store.create(c, call.workspace, events, name=name, url=url, description=description, status=status)
        _seal(c, call, made, secret)
        return _answer(c, made)

    return await call.write(write)


async def page(call: Call) -> Json:
    limit, offset = page_limits(
        call.fields.maybe_integer("max_results") or None,
        call.fields.maybe_text("page_token"),
        default=DEFAULT,
        most=MOST,
    )

    def read(c: Connection) -> Json:
        found = store.page(c, call.workspace, limit + 1, offset)
        answer: Json = {"webhooks": _documents(c, found[:limit])}
        if len(found) > limit:
            answer["next_page_token"] = next_token(offset + limit)
        return answer

    return await call.read(read)


async def get(call: Call) -> Json:
    return await call.read(lambda c: _answer(c, _get(c, call)))


async def update(call: Call) -> Json:
    """What is empty stays, but for the description and the secret, which may be taken away."""
    call.check_not_a_job("change webhooks")
    fields, values = call.fields, dict[str, Any]()
    if name := fields.maybe_text("name"):
        values["name"] = _name(name)
    if url := fields.maybe_text("url"):
        _check_url(call, url)
        values["url"] = url
    if "description" in fields:
        values["description"] = fields.maybe_text("description") or None
    if status := _status(fields):
        values["status"] = status
    events = _events(fields) or None

    def write(c: Connection) -> Json:
        found = _get(c, call)
        store.update(c, found, events, **values)
        if "secret" in fields:
            _seal(c, call, found, fields.maybe_text("secret"))
        return _answer(c, _get(c, call))

    return await call.write(write)


async def delete(call: Call) -> Json:
    call.check_not_a_job("delete webhooks")

    def write(c: Connection) -> None:
        found = _get(c, call)
        store.delete(c, found)
        call.context.webhooks.secrets.delete(c, found.scope)

    await call.write(write)
    return {}


async def test(call: Call) -> Json:
    """Send an example of an event now, and say what came back."""
    call.check_not_a_job("test webhooks")
    sent, sender = call.fields.values.get("event"), call.context.webhooks
    asked = _event(Fields(sent)) if isinstance(sent, dict) else None

    def read(c: Connection) -> tuple[Webhook, str, dict[str, str] | None]:
        found = _get(c, call)
        event = asked or store.events_of(c, [found.number])[found.number][0]
        return found, event, sender.secrets.get(c, found.scope, SECRET)

    webhook, event, kept = await call.read(read)
    body = webhook_events.body_of(event, webhook_events.EVENTS[event], utc_now())
    secret = kept[SECRET] if kept else None
    try:
        answer = await asyncio.to_thread(sender.send, webhook, secret, str(uuid.uuid4()), body, now_ms())
    except Refused as refused:
        return {"result": {"success": False, "error_message": f"Failed to test webhook: {refused}"}}
    success = answer.status < 400
    return {"result": {"success": success, "response_status": answer.status, "response_body": answer.body}}


def _get(c: Connection, call: Call) -> Webhook:
    webhook_id = str(call.request.path_params["webhook_id"])
    found = store.get(c, call.workspace, webhook_id)
    if found is None:
        raise does_not_exist(f"Webhook with ID {webhook_id} not found.")
    return found


def _seal(c: Connection, call: Call, webhook: Webhook, secret: str | None) -> None:
    secrets = call.context.webhooks.secrets
    if secret:
        secrets.put(c, webhook.scope, SECRET, {SECRET: secret})
    else:
        secrets.delete(c, webhook.scope)


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise invalid(
            f"Webhook name '{name}' is invalid. It must start and end with a letter or digit, be less than 63 "
            "characters long, and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
        )
    return name


def _check_url(call: Call, url: str) -> None:
    try:
        call.context.webhooks.check(url)
    except Refused as refused:
        raise invalid(str(refused)) from None


def _status(fields: Fields) -> str | None:
    value = fields.values.get("status")
    return None if value is None else _enumerated("status", value, _STATUSES)


def _events(fields: Fields) -> list[str]:
    return [_event(one) for one in fields.objects("events")]


def _event(sent: Fields) -> str:
    entity = _enumerated("entity", sent.values.get("entity"), _ENTITIES)
    event = f"{entity}.{_enumerated('action', sent.values.get('action'), _ACTIONS)}".lower()
    if event not in webhook_events.EVENTS:
        raise invalid(f"Invalid webhook event '{event}'. Valid events are: {', '.join(webhook_events.EVENTS)}.")
    return event


def _enumerated(field: str, value: Any, names: dict[int, str]) -> str:
    found = names.get(value) if isinstance(value, int) else value
    if found not in names.values():
        raise invalid(
            f"Invalid value '{value}' for parameter '{field}' supplied: there is {', '.join(names.values())}."
        )
    return str(found)


def _answer(c: Connection, found: Webhook) -> Json:
    return {"webhook": _documents(c, [found])[0]}


def _documents(c: Connection, found: Sequence[Webhook]) -> list[Json]:
    events = store.events_of(c, [one.number for one in found])
    return [_document(one, events[one.number]) for one in found]


def _document(webhook: Webhook, events: Sequence[str]) -> Json:
    document: Json = {
        "webhook_id": webhook.webhook_id,
        "name": webhook.name,
        "url": webhook.url,
        "events": [dict(zip(("entity", "action"), event.upper().split("."), strict=True)) for event in events],
        "status": webhook.status,
        "creation_timestamp": webhook.created_ms,
        "last_updated_timestamp": webhook.updated_ms,
    }
    return document | ({"description": webhook.description} if webhook.description else {})
