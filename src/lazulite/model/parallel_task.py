"""A parallel component as a node of a pipeline runs it: what the driver of its job is told. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from lazulite.core.errors import not_implemented, validation
from lazulite.model.pipeline_graph import field, is_literal
from lazulite.model.run_plan import Parallel

Json = dict[str, Any]

#: The agent lays the driver beside the working directory, under this name.
_PROGRAM = "python ../lazulite_parallel"
_INPUT = re.compile(r"\$\{\{\s*inputs\.([\w.-]+)\s*\}\}")
_OUTPUT = re.compile(r"\$\{\{\s*outputs\.([\w.-]+)\s*\}\}")
_LINE_END = re.compile(r"\s*\\?\s*\n\s*")
_SIZE = re.compile(r"(\d+)\s*([kmg]b)?", re.IGNORECASE)
#: What a node may say of its component's task.
_OF_NODE = ("entry_script", "program_arguments", "append_row_to")
_UNITS = {"": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}


def task(spec: Json) -> Json:
    """The component's task, in the form of a command component: `code`, `environment`."""
    found = spec.get("task")
    return found if isinstance(found, dict) else {}


def check(name: str, sent: Json, spec: Json, target: str) -> None:
    """Raises ApiError 400 for what cannot be, 501 for what is not built, naming the node and the setting."""
    of = _task(sent, spec)
    kind = str(of.get("type") or "run_function")
    if kind != "run_function":
        raise not_implemented(f"The task '{kind}' of the parallel node '{name}'")
    if not of.get("entry_script") or not of.get("code"):
        raise validation(f"The parallel node '{name}' needs a task with code and entry_script.", f"{target}.task")
    searched = _INPUT.fullmatch(str(_value(sent, spec, "input_data") or ""))
    if searched is None or searched[1] not in (spec.get("inputs") or {}):
        text = f"The parallel node '{name}' needs input_data, such as '${{{{inputs.data}}}}', one of its inputs."
        raise validation(text, f"{target}.input_data")
    appended = of.get("append_row_to")
    written = _OUTPUT.fullmatch(str(appended)) if appended else None
    if appended and (written is None or written[1] not in (spec.get("outputs") or {})):
        raise validation(f"append_row_to of the parallel node '{name}' must name an output.", f"{target}.task")
    try:
        settings(sent, spec, {})
    except ValueError as error:
        raise validation(f"The parallel node '{name}': {error}.", target) from None


def command(sent: Json, spec: Json) -> str:
    """The driver's command line: the entry script's arguments are its own."""
    arguments = _task(sent, spec).get("program_arguments") or ""
    return f"{_PROGRAM} {_LINE_END.sub(' ', str(arguments).strip())}".strip()


def settings(sent: Json, spec: Json, inputs: Mapping[str, Json]) -> Json:
    """`run_plan.Parallel` of a node as JSON. `inputs` are its job's, for settings that are `${{inputs.x}}`.

    Raises ValueError for a setting that is not what it has to be, naming it.
    """
    retries = {**(spec.get("retry_settings") or {}), **_given(field(sent, "retry_settings") or {})}
    resources = {**(spec.get("resources") or {}), **_given(sent.get("resources") or {})}
    source = _INPUT.fullmatch(str(_value(sent, spec, "input_data")))
    of = _task(sent, spec)
    appended = _OUTPUT.fullmatch(str(of.get("append_row_to") or ""))
    read = _Reader(inputs)
    name = source[1] if source else ""
    found = Parallel(
        entry_script=str(of.get("entry_script")),
        input=name,
        as_files=str((inputs.get(name) or {}).get("mode") or "").lower().startswith("eval"),
        append_to=appended[1] if appended else None,
        mini_batch_size=read.size("mini_batch_size", _value(sent, spec, "mini_batch_size")),
        partition_keys=read.keys("partition_keys", _value(sent, spec, "partition_keys")),
        instances=read.count("resources.instance_count", field(resources, "instance_count"), 1),
        workers_per_instance=read.count(
            "max_concurrency_per_instance", _value(sent, spec, "max_concurrency_per_instance"), 1
        ),
        max_retries=int(read.number("retry_settings.max_retries", field(retries, "max_retries"), 2, least=0)),
        timeout=read.number("retry_settings.timeout", retries.get("timeout"), 60, least=0) or 60,
        error_threshold=int(read.number("error_threshold", _value(sent, spec, "error_threshold"), -1)),
        mini_batch_error_threshold=int(
            read.number("mini_batch_error_threshold", _value(sent, spec, "mini_batch_error_threshold"), -1)
        ),
        logging_level=str(read.text(_value(sent, spec, "logging_level")) or "INFO").upper(),
    )
    document: Json = msgspec.to_builtins(found)
    return document


def _task(sent: Json, spec: Json) -> Json:
    """The component's task, with what the node says in its place; the code and the environment are the component's."""
    given = sent.get("task")
    own = given if isinstance(given, dict) else {}
    return {**task(spec), **{name: own[name] for name in _OF_NODE if own.get(name)}}


class _Reader:
    """Reads settings, each a value or a reference to an input; what is not known yet counts as not given."""

    def __init__(self, inputs: Mapping[str, Json]) -> None:
        self._inputs = inputs

    def text(self, value: Any) -> str | None:
        text = "" if value is None else str(value).strip()
        searched = _INPUT.fullmatch(text)
        if searched:
            bound = self._inputs.get(searched[1])
            text = str(bound.get("value")) if bound is not None and is_literal(bound) else ""
        return None if not text or "${{" in text else text

    def number(self, name: str, value: Any, otherwise: float, least: float | None = None) -> float:
        text = self.text(value)
        try:
            found = otherwise if text is None else float(text)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise ValueError(f"{name} is '{text}' and must be a number")
        if least is not None and found < least:
            raise ValueError(f"{name} is {text} and must be at least {least:g}")
        return found

    def count(self, name: str, value: Any, otherwise: int) -> int:
        """Azure takes 0 for not given."""
        found = int(self.number(name, value, otherwise)) or otherwise
        if found < 0:
            raise ValueError(f"{name} is {found} and must be at least 1")
        return found

    def size(self, name: str, value: Any) -> int | None:
        """A number of files, or `10kb`, `1MB`. Azure takes 0 for not given."""
        text = self.text(value)
        if text is None:
            return None
        found = _SIZE.fullmatch(text)
        if not found:
            raise ValueError(f"{name} is '{text}' and must be a number of files, or a size such as 10kb or 1MB")
        return int(found[1]) * _UNITS[(found[2] or "").lower()] or None

    def keys(self, name: str, value: Any) -> list[str]:
        """Clients send the list as JSON in a text."""
        try:
            while isinstance(value, str) and value:
                value = json.loads(value)
        except ValueError:
            value = None if "${{" in str(value) else value
        if not value:
            return []
        if not isinstance(value, list):
            raise ValueError(f"{name} is '{value}' and must be a list of names")
        return [str(key) for key in value]


def _value(sent: Json, spec: Json, name: str) -> Any:
    """The node's own value, else its component's."""
    own = field(sent, name)
    return spec.get(name) if own is None else own


def _given(document: Json) -> Json:
    return {name: value for name, value in document.items() if value is not None}
