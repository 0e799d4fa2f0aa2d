"""What webhooks are told of: each change of the registry as an event with its data, in MLflow's words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy.engine import Connection

from lazulite.core.clock import utc_now
from lazulite.store import webhooks as store
from lazulite.tracking import registry
from lazulite.tracking.call import Call, Handler
from lazulite.tracking.documents import Json
from lazulite.tracking.fields import Fields

PROMPT, _PROMPT_TYPE, _PROMPT_TEXT = "mlflow.prompt.is_prompt", "_mlflow_prompt_type", "mlflow.prompt.text"
_EXAMPLE = {"name": "example_model", "version": "1", "key": "example_key", "value": "example_value"}
_TAGGED = {"tags": {"example_key": "example_value"}, "description": "An example"}
#: Each event with an example of its data.
EVENTS: dict[str, Json] = {
    "registered_model.created": {"name": "example_model", **_TAGGED},
    "model_version.created": {
        "name": "example_model",
        "version": "1",
        "source": "models:/123",
        "run_id": "abcd1234abcd5678",
        **_TAGGED,
    },
    "model_version_tag.set": _EXAMPLE,
    "model_version_tag.deleted": {"name": "example_model", "version": "1", "key": "example_key"},
    "model_version_alias.created": {"name": "example_model", "alias": "example_alias", "version": "1"},
    "model_version_alias.deleted": {"name": "example_model", "alias": "example_alias"},
    "prompt.created": {"name": "example_prompt", **_TAGGED},
    "prompt_version.created": {"name": "example_prompt", "version": "1", "template": "Hello {{name}}!", **_TAGGED},
    "prompt_tag.set": {"name": "example_prompt", "key": "example_key", "value": "example_value"},
    "prompt_tag.deleted": {"name": "example_prompt", "key": "example_key"},
    "prompt_version_tag.set": {**_EXAMPLE, "name": "example_prompt"},
    "prompt_version_tag.deleted": {"name": "example_prompt", "version": "1", "key": "example_key"},
    "prompt_alias.created": {"name": "example_prompt", "alias": "example_alias", "version": "1"},
    "prompt_alias.deleted": {"name": "example_prompt", "alias": "example_alias"},
    #: Of the gateway, which is not built: it can be subscribed to and does not happen.
    "budget_policy.exceeded": {
        "budget_policy_id": "bp-abc123",
        "budget_unit": "USD",
        "budget_amount": 100.0,
        "current_spend": 105.5,
        "duration_unit": "MONTHS",
        "duration_value": 1,
        "target_scope": "WORKSPACE",
        "workspace": "default",
        "target_value": None,
        "window_start": 1704067200000,
    },
}
#: (event, data) of what a call has done, or None where nobody is told.
Told = Callable[[Connection, Call, Any], tuple[str, Json] | None]


def announced(handler: Handler, told: Told) -> Handler:
    """`handler`, whose write tells webhooks of itself in its own transaction."""

    async def serve(call: Call) -> Any:
        def also(c: Connection, result: Any) -> None:
            found = told(c, call, result)
            if found is not None:
                store.announce(c, call.workspace, found[0], body_of(*found, utc_now()))

        return await handler(replace(call, also=also))

    return serve


def body_of(event: str, data: Json, at: dt.datetime) -> bytes:
    entity, _, action = event.partition(".")
    return msgspec.json.encode({"entity": entity, "action": action, "timestamp": at.isoformat(), "data": data})


def model_created(_c: Connection, call: Call, _result: Any) -> tuple[str, Json]:
    tags = _tags(call.fields)
    data = {"name": call.fields.text("name"), "tags": tags, "description": call.fields.maybe_text("description")}
    if not _is_true(tags.get(PROMPT)):
        return "registered_model.created", data
    return "prompt.created", {**data, "tags": _without_own(tags)}


def version_created(_c: Connection, call: Call, result: Any) -> tuple[str, Json]:
    made, tags = result["model_version"], _tags(call.fields)
    data: Json = {"name": made["name"], "version": made["version"]}
    description = call.fields.maybe_text("description") or None
    if _is_true(tags.get(PROMPT)):
        told = {"template": tags.pop(_PROMPT_TEXT, None), "tags": _without_own(tags), "description": description}
        return "prompt_version.created", {**data, **told}
    told = {"source": call.fields.text("source"), "run_id": call.fields.maybe_text("run_id") or None, "tags": tags}
    return "model_version.created", {**data, **told, "description": description}


def model_tag(action: str) -> Told:
    """Tags of registered models are told of prompts alone, as MLflow does."""

    def told(c: Connection, call: Call, _result: Any) -> tuple[str, Json] | None:
        data = _named(call, "name", "key", *(("value",) if action == "set" else ()))
        return (f"prompt_tag.{action}", data) if _is_prompt(c, call) else None

    return told


def version_tag(action: str) -> Told:
    names = ("name", "version", "key", *(("value",) if action == "set" else ()))
    return lambda c, call, _: (f"{_of(c, call, 'version')}_tag.{action}", _named(call, *names))


def alias(action: str) -> Told:
    names = ("name", "alias", *(("version",) if action == "created" else ()))
    return lambda c, call, _: (f"{_of(c, call, 'alias')}.{action}", _named(call, *names))


def _of(c: Connection, call: Call, what: str) -> str:
    if _is_prompt(c, call):
        return f"prompt_{what}"
    return "model_version" if what == "version" else "model_version_alias"


def _is_prompt(c: Connection, call: Call) -> bool:
    model = registry.find(c, call, call.fields.text("name"))
    tags = (model.container.properties.get("tags") or {}) if model and model.container else {}
    return _is_true(tags.get(PROMPT))


def _is_true(value: str | None) -> bool:
    return (value or "").lower() == "true"


def _named(call: Call, *names: str) -> Json:
    return {name: call.fields.maybe_text(name) or "" for name in names}


def _tags(fields: Fields) -> dict[str, str]:
    return {key: value or "" for key, value in fields.pairs("tags") if key}


def _without_own(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in (PROMPT, _PROMPT_TYPE)}
