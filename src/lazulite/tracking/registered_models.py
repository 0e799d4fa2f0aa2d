"""`registered-models/*`."""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlalchemy.engine import Connection

from lazulite.core.errors import ApiError
from lazulite.core.names import RESOURCE
from lazulite.store import resources
from lazulite.tracking import registry
from lazulite.tracking.call import Call
from lazulite.tracking.conditions import next_token, page_limits
from lazulite.tracking.documents import Json
from lazulite.tracking.errors import already_exists, invalid
from lazulite.tracking.fields import MAX_MODEL_TAG_VALUE, Fields, check_length, check_name
from lazulite.tracking.grammar import Grammar
from lazulite.tracking.matching import PROMPT_TAG, is_asked_for, matches, ordered

MOST = 1000
MODELS = Grammar(
    strings=frozenset({"name"}),
    orderable=frozenset({"name", "timestamp", "last_updated_timestamp", "creation_timestamp"}),
)


async def create(call: Call) -> Json:
    fields = call.fields
    name = fields.text("name")
    tags, description = tags_of(fields), fields.maybe_text("description")
    check_model_name(call, name)

    def write(c: Connection) -> Json:
        if registry.find(c, call, name) is not None:
            raise already_exists(f"Registered Model (name={name}) already exists.")
        container = registry.new_container(call, name, tags=tags, description=description)
        stored = resources.insert(c, container, by=call.principal.name)
        return _answer(call, registry.RegisteredModel(name, stored, ()))

    return await call.write(write)


async def get(call: Call) -> Json:
    name = call.fields.text("name")
    return await call.read(lambda c: _answer(call, registry.get(c, call, name)))


async def update(call: Call) -> Json:
    name, description = call.fields.text("name"), call.fields.maybe_text("description") or ""

    def write(c: Connection) -> Json:
        registry.write_container(c, call, registry.get(c, call, name), description=description)
        return _answer(call, registry.get(c, call, name))

    return await call.write(write)


async def rename(call: Call) -> Json:
    """The model and its versions move to the new name; their files stay where they are."""
    call.check_not_a_job("rename models")
    name, new = call.fields.text("name"), call.fields.text("new_name")
    check_model_name(call, new)

    def write(c: Connection) -> Json:
        model = registry.get(c, call, name)
        if registry.find(c, call, new) is not None:
            raise already_exists(f"Registered Model (name={new}) already exists.")
        by = call.principal.name
        old = model.container or registry.new_container(call, name)
        resources.delete(c, registry.model_id(call, name))
        renamed = resources.new(registry.model_id(call, new), registry.CONTAINER, old.spec, status=old.status)
        resources.insert(c, renamed, by=by)
        for version in model.versions:
            id_ = f"{registry.model_id(call, new)}/versions/{version.name}"
            moved = resources.new(
                id_, registry.VERSION, version.spec, status=version.status, state=version.state,
                label=version.label, archived=version.archived,
            )  # fmt: skip
            resources.insert(c, moved, by=by)
        return _answer(call, registry.get(c, call, new))

    return await call.write(write)


async def delete(call: Call) -> Json:
    call.check_not_a_job("delete models")
    name = call.fields.text("name")

    def write(c: Connection) -> None:
        registry.get(c, call, name)
        resources.delete(c, registry.model_id(call, name))

    await call.write(write)
    return {}


async def search(call: Call) -> Json:
    fields = call.fields
    comparisons = MODELS.parse(fields.maybe_text("filter"))
    orders = MODELS.parse_order(fields.texts("order_by"))
    limit, offset = page_limits(
        fields.maybe_integer("max_results"), fields.maybe_text("page_token"), default=100, most=MOST
    )

    def read(c: Connection) -> tuple[list[Json], bool]:
        names = None if comparisons or orders else registry.names(c, call, untagged=PROMPT_TAG)
        if names is not None:  # in the order of names: the other models need not be read
            some = registry.load(c, call, names[offset : offset + limit])
            return [registry.model_document(call, model) for model in some], len(names) > offset + limit
        documents = [registry.model_document(call, model) for model in registry.all_models(c, call)]
        asked = [one for one in documents if matches(one, comparisons) and is_asked_for(one, comparisons)]
        found = ordered(asked, orders)
        return found[offset : offset + limit], len(found) > offset + limit

    found, more = await call.read(read)
    document: Json = {"registered_models": found}
    if more:
        document["next_page_token"] = next_token(offset + limit)
    return document


async def latest_versions(call: Call) -> Json:
    name, stages = call.fields.text("name"), [stage(one) for one in call.fields.texts("stages")]

    def read(c: Connection) -> Json:
        model = registry.get(c, call, name)
        live = [v for v in model.versions if not v.archived]
        newest = registry.latest_by_stage(live, stages)
        return {"model_versions": [registry.version_document(call, model, v) for v in newest]}

    return await call.read(read)


async def set_tag(call: Call) -> Json:
    name = call.fields.text("name")
    key, value = check_name(call.fields.text("key")), call.fields.maybe_text("value") or ""
    check_length("value", MAX_MODEL_TAG_VALUE, value)
    return await _change_tags(call, name, lambda tags: {**tags, key: value})


async def delete_tag(call: Call) -> Json:
    name, key = call.fields.text("name"), call.fields.text("key")
    return await _change_tags(call, name, lambda tags: {k: v for k, v in tags.items() if k != key})


async def set_alias(call: Call) -> Json:
    name, alias, version = call.fields.text("name"), call.fields.text("alias"), call.fields.text("version")
    _check_alias(alias)

    def write(c: Connection) -> None:
        model, found = registry.get_version(c, call, name, version)
        registry.write_aliases(c, call, model, {**model.aliases, alias: found.name})

    await call.write(write)
    return {}


async def delete_alias(call: Call) -> Json:
    name, alias = call.fields.text("name"), call.fields.text("alias")

    def write(c: Connection) -> None:
        model = registry.get(c, call, name)
        registry.write_aliases(c, call, model, {k: v for k, v in model.aliases.items() if k != alias})

    await call.write(write)
    return {}


async def get_by_alias(call: Call) -> Json:
    name, alias = call.fields.text("name"), call.fields.text("alias")

    def read(c: Connection) -> Json:
        model = registry.get(c, call, name)
        at = model.aliases.get(alias)
        if alias.lower() == "latest" and at is None and model.versions:
            at = model.versions[-1].name
        if at is None:
            raise invalid(f"Registered model alias {alias} not found.")
        _, version = registry.get_version(c, call, name, at)
        return {"model_version": registry.version_document(call, model, version)}

    return await call.read(read)


def stage(name: str) -> str:
    """A stage in MLflow's own spelling. Raises ApiError INVALID_PARAMETER_VALUE."""
    for known in registry.STAGES:
        if known.lower() == name.lower():
            return known
    raise invalid(f"Invalid Model Version stage: {name}. Value must be one of {', '.join(registry.STAGES)}.")


def tags_of(fields: Fields) -> dict[str, str]:
    return {
        check_name(key): check_length("value", MAX_MODEL_TAG_VALUE, value or "") for key, value in fields.pairs("tags")
    }


def check_model_name(call: Call, name: str) -> None:
    """A registered model is an asset: its name keeps Azure's rule. Raises ApiError."""
    registry.model_id(call, name)
    try:
        RESOURCE.check(name)
    except ApiError as refused:
        raise invalid(f"Invalid model name: {refused.message}") from None


def _check_alias(alias: str) -> None:
    if len(alias) > 255:
        raise invalid("'Registered model alias name' exceeds the maximum length of 255 characters")
    if not re.fullmatch(r"[\w\-]*", alias):
        raise invalid(
            f"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )
    if alias.lower() == "latest":
        raise invalid("'latest' alias name (case insensitive) is reserved.")
    if re.fullmatch(r"[vV]\d+", alias):
        raise invalid(f"Version alias name '{alias}' is reserved.")


async def _change_tags(call: Call, name: str, change: Callable[[dict[str, str]], dict[str, str]]) -> Json:
    def write(c: Connection) -> None:
        model = registry.get(c, call, name)
        tags = (model.container.properties.get("tags") or {}) if model.container else {}
        registry.write_container(c, call, model, tags=change(tags))

    await call.write(write)
    return {}


def _answer(call: Call, model: registry.RegisteredModel) -> Json:
    return {"registered_model": registry.model_document(call, model)}
