"""What there is to tell of one job, in words and in order: the same on a terminal and on a page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from lazulite.drawing import words
from lazulite.drawing.state import moment

Json = dict[str, Any]


def facts(name: str, properties: Json, run: Json, now: dt.datetime) -> Iterator[tuple[str, str]]:
    """Label and value, for what there is of it; a value of several lines ends with a line break.

    `properties` are those of the job as ARM shows it, empty for a run that an MLflow client made; `run` is its document.
    """
    began, ended = moment(run.get("startTimeUtc")), moment(run.get("endTimeUtc"))
    found: dict[str, Any] = {
        "name": name,
        "display name": properties.get("displayName") or run.get("displayName"),
        "kind": str(properties.get("jobType") or "MLflow run").lower().replace("mlflow", "MLflow"),
        "status": properties.get("status") or run.get("status"),
        "experiment": properties.get("experimentName") or run.get("experimentName"),
        "created": local(moment(run.get("createdUtc"))),
        "took": words.duration(began, ended, now),
        "step of": run.get("parentRunId"),
        "reuses": (run.get("properties") or {}).get("azureml.reusedrunid"),
        "best trial": _best(name, run.get("properties") or {}),
        "compute": run.get("target"),
        "environment": str(properties.get("environmentId") or "").rsplit("/environments/", 1)[-1],
        "command": properties.get("command"),
        "error": ((run.get("error") or {}).get("error") or {}).get("message"),
    }
    yield from ((label, str(value)) for label, value in found.items() if value)
    for what in ("inputs", "outputs", "tags"):
        values = {name: _value(value) for name, value in sorted((properties.get(what) or {}).items())}
        if values:
            yield what, "\n".join(f"{name}: {value}" for name, value in values.items()) + "\n"


def local(at: dt.datetime | None) -> str:
    """`2026-11-30 18:25:09`, in the time of this machine; empty without a time."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""


def _best(name: str, properties: Json) -> str:
    """Of a sweep, what to name as --node, and what it came to."""
    child = str(properties.get("best_child_run_id") or "")
    return f"{child.removeprefix(f'{name}_')}, {properties.get('score')}" if child else ""


def _value(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("uri") or value.get("value") or value.get("jobOutputType") or ""
    return str(value)
