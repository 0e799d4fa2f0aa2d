"""The plan of a job made into one that writes to a scratch folder alone, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SHOWN = 10
#: By the isolation of a job, that of who steps into it: all of the machine is seen, and nothing of the job changes.
_SEEING_ALL = {"bubblewrap": "mounts", "landlock": "process"}


def redirected(plan: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The plan with everything that is written going to `folder`, as one process that nothing ends but its user."""
    outputs = {
        name: {**output, "kind": "path", "root": None, "url": None, "path": str(_output(folder, name, output))}
        for name, output in plan["outputs"].items()
    }
    kind = plan["isolation"]["kind"]
    alone = {"nodes": 1, "processes_per_node": 1, "worker_count": 1, "parameter_server_count": 0}
    return {
        **plan,
        # Without the run: what is logged here goes to a run of its own.
        "variables": {name: value for name, value in plan["variables"].items() if name != "MLFLOW_RUN_ID"},
        "artifacts": str(folder / "artifacts"),
        "inputs": {name: _unharmed(given) for name, given in plan["inputs"].items()},
        "outputs": outputs,
        "isolation": {**plan["isolation"], "kind": _SEEING_ALL.get(kind, kind)},
        "distribution": {**plan["distribution"], **alone},
        "timeout_s": None,
    }


def _unharmed(given: dict[str, Any]) -> dict[str, Any]:
    """The input; of one that its job may write to, a copy."""
    return {**given, "mode": "download"} if given["mode"] == "rw_mount" else given


def _output(folder: Path, name: str, output: dict[str, Any]) -> Path:
    path = folder / "outputs" / name
    path.mkdir(parents=True)
    return path / Path(output.get("path") or output.get("url") or name).name if output["type"] == "uri_file" else path


def introduction(title: str, real: dict[str, Any], plan: dict[str, Any], folder: Path) -> Iterator[str]:
    """What a person should know of the plan `plan` that was made of `real`, line by line."""
    yield f"stepping into {title}; outputs and logs go to {folder}, the job itself is left as it is"
    for name, given in plan["inputs"].items():
        yield f"  inputs.{name} = {_told(name, given)}"
    for name, told in plan["outputs"].items():
        yield f"  outputs.{name} -> {told['path']}"
    if plan["isolation"]["kind"] == "process":
        yield "inputs and environment are copies, as without bubblewrap nothing would keep a command from writing there"
    count = _processes(real["distribution"])
    if count > 1:
        yield f"the job has {count} processes; this is rank 0 by itself, and its world has one"
    if plan["code"] != real["code"]:
        yield f"its code is a copy of {plan['code']['path']}"
        lost = _lost(real["code"], Path(plan["code"]["path"]))
        if lost:
            yield f"not there, and so not in the copy, as additional_includes are: {', '.join(lost)}"
    yield f"its command: {plan['command'].strip()}"


def _lost(submitted: dict[str, Any] | None, folder: Path) -> list[str]:
    """What the code has that was submitted and the folder has not; nothing where that does not lie on this machine."""
    if submitted is None or not submitted["path"]:
        return []
    top = Path(submitted["path"])
    files = sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_file())
    lost = [name for name in files if not (folder / name).exists()]
    return [*lost[:_SHOWN], f"{len(lost) - _SHOWN} more"] if len(lost) > _SHOWN else lost


def _told(name: str, given: dict[str, Any]) -> str:
    """A literal as it is, of data where it lies and the variable that has its path in the step."""
    if given["kind"] == "literal":
        return str(given["value"])
    return f"$AZURE_ML_INPUT_{name}, {given['path'] or given['uri'] or given['url']}"


def _processes(distribution: dict[str, Any]) -> int:
    kind = (distribution["type"] or "").lower()
    if kind == "tensorflow":
        return int(distribution["worker_count"] + distribution["parameter_server_count"])
    return int(distribution["nodes"] * (distribution["processes_per_node"] if kind else 1))
