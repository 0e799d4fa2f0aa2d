"""A data transfer component as a node of a pipeline runs it: what the agent of its job is told. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from lazulite.core.errors import nearest, not_implemented, validation
from lazulite.model.pipeline_graph import PRIMITIVES, field
from lazulite.model.run_plan import Transfer

Json = dict[str, Any]

COPY = "copy_data"
#: Where a node says nothing, a file that is there already is replaced.
_MODES = ("merge_with_overwrite", "fail_if_conflict")


def check_task(name: str, sent: Json, spec: Json | None = None) -> None:
    """Raises ApiError 501 for a task other than copying, naming it and the node."""
    task = str(sent.get("task") or (spec or {}).get("task") or COPY)
    if task != COPY:
        raise not_implemented(f"The task '{task}' of the data_transfer node '{name}' of a pipeline")


def check(name: str, sent: Json, spec: Json, target: str) -> None:
    """Raises ApiError 400 for what cannot be, naming the node and what is wrong."""
    mode = _mode(sent, spec)
    if mode is not None and mode not in _MODES:
        text = f"data_copy_mode of the node '{name}' is '{mode}' and must be one of {', '.join(_MODES)}."
        raise validation(text + nearest(mode, _MODES), f"{target}.data_copy_mode")
    inputs, outputs = _types(spec.get("inputs")), _types(spec.get("outputs"))
    if len(outputs) != 1 or not inputs:
        text = f"The data_transfer node '{name}' needs one output and at least one input to copy"
        raise validation(f"{text}, and has {len(outputs)} and {len(inputs)}.", target)
    for port, kind in {**inputs, **outputs}.items():
        if kind in PRIMITIVES:
            raise validation(f"'{port}' of the data_transfer node '{name}' is {kind}, and only data is copied.", target)
    (output, into), kinds = next(iter(outputs.items())), list(inputs.values())
    wanted = kinds[0] if len(kinds) == 1 else "uri_folder"
    if into != wanted:
        text = f"The output '{output}' of the data_transfer node '{name}' is {into} and must be {wanted}, as "
        text += "its input is." if len(kinds) == 1 else "several inputs are copied into it."
        raise validation(text, f"{target}.outputs.{output}")


def settings(sent: Json, spec: Json) -> Json:
    """`run_plan.Transfer` of a node as JSON."""
    document: Json = msgspec.to_builtins(Transfer(overwrite=_mode(sent, spec) != "fail_if_conflict"))
    return document


def _mode(sent: Json, spec: Json) -> str | None:
    """The node's own word, else its component's."""
    found = field(sent, "data_copy_mode") or spec.get("data_copy_mode")
    return None if found is None else str(found)


def _types(ports: Json | None) -> dict[str, str]:
    return {name: str((port or {}).get("type") or "uri_folder").lower() for name, port in (ports or {}).items()}
