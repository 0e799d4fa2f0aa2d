"""A parallel component as a node of a pipeline runs it: what the process beside its entry script is told. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from lazulite.core.errors import not_implemented, validation
from lazulite.model.pipeline_graph import field

Json = dict[str, Any]

#: The variables through which the process gets its program and its settings.
PROGRAM = "LAZULITE_PARALLEL_PROGRAM"
SETTINGS = "LAZULITE_PARALLEL"
_INPUT = re.compile(r"\$\{\{\s*inputs\.([\w.]+)\s*\}\}")
_OUTPUT = re.compile(r"\$\{\{\s*outputs\.([\w.]+)\s*\}\}")
_NUMBERS = ("mini_batch_error_threshold", "error_threshold")


def task(spec: Json) -> Json:
    """The component's task, in the form of a command component: `code`, `environment`."""
    found = spec.get("task")
    return found if isinstance(found, dict) else {}


def check(name: str, sent: Json, spec: Json, target: str) -> None:
    """Raises ApiError 400 for what cannot be, 501 for what is not built, naming the node."""
    of = task(spec)
    kind = str(of.get("type") or "run_function")
    if kind != "run_function":
        raise not_implemented(f"The task '{kind}' of the parallel node '{name}'")
    if _value(sent, spec, "partition_keys"):
        raise not_implemented(f"partition_keys of the parallel node '{name}'")
    if not of.get("entry_script") or not of.get("code"):
        raise validation(f"The parallel node '{name}' needs a task with code and entry_script.", f"{target}.task")
    searched = _INPUT.fullmatch(str(_value(sent, spec, "input_data") or ""))
    declared = (spec.get("inputs") or {}).get(searched[1]) if searched else None
    if declared is None:
        text = f"The parallel node '{name}' needs input_data, such as '${{{{inputs.data}}}}', one of its inputs."
        raise validation(text, f"{target}.input_data")
    if str(declared.get("type")).lower() == "mltable":
        raise not_implemented(f"Tabular mini-batches, as the parallel node '{name}' takes,")
    appended = of.get("append_row_to")
    written = _OUTPUT.fullmatch(str(appended)) if appended else None
    if appended and (written is None or written[1] not in (spec.get("outputs") or {})):
        raise validation(f"append_row_to of the parallel node '{name}' must name an output.", f"{target}.task")
    size = str(_value(sent, spec, "mini_batch_size") or 10)
    if "${{" not in size and not size.isdigit():
        text = f"mini_batch_size is '{size}' and must be a number of files, as the input of '{name}' is files."
        raise validation(text, f"{target}.mini_batch_size")


def command(sent: Json, spec: Json) -> str:
    """The process's command line."""
    of = task(spec)
    appended = of.get("append_row_to") or "''"
    arguments = (sent.get("task") or {}).get("program_arguments") or of.get("program_arguments") or ""
    program = f"python -c \"import os; exec(os.environ['{PROGRAM}'])\""
    return f"{program} {_value(sent, spec, 'input_data')} {appended} {arguments}".strip()


def settings(sent: Json, spec: Json) -> str:
    """What `node/parallel.py` reads."""
    retries = {**(spec.get("retry_settings") or {}), **(field(sent, "retry_settings") or {})}
    resources = {**(spec.get("resources") or {}), **(sent.get("resources") or {})}
    each = int(_value(sent, spec, "max_concurrency_per_instance") or 1)
    found: Json = {
        "entry_script": task(spec).get("entry_script"),
        "append_row": bool(task(spec).get("append_row_to")),
        "mini_batch_size": int(_value(sent, spec, "mini_batch_size") or 10),
        "workers": each * int(field(resources, "instance_count") or 1),
        "max_retries": int(_first(field(retries, "max_retries"), 2)),
        "timeout": float(_first(retries.get("timeout"), 60)),
    }
    for name in _NUMBERS:
        found[name] = int(_first(_value(sent, spec, name), -1))
    return json.dumps(found)


def _value(sent: Json, spec: Json, name: str) -> Any:
    """The node's own value, else its component's."""
    return _first(field(sent, name), spec.get(name))


def _first(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value
