from pathlib import Path
from typing import Any

import msgspec
import pytest

from lazulite.cli import scratch
from lazulite.model.run_plan import Code, Distribution, EnvironmentPlan, Input, Isolation, Output, RunPlan


def a_plan(**changes: Any) -> dict[str, Any]:
    environment = EnvironmentPlan(key="k", name="e:1", python="3.11", interpreter="/python")
    plan = RunPlan(job="j", command="echo", environment=environment, environments_root="/e", artifacts="/real/a")
    found: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(plan, **changes))
    return found


def test_nothing_that_is_written_goes_where_the_job_wrote(tmp_path: Path) -> None:
    real = a_plan(
        inputs={name: Input(kind="path", mode=name, path="/data") for name in ("ro_mount", "rw_mount")},
        outputs={
            "f": Output(path="/real/f", root="/real"),
            "b": Output(kind="blob", type="uri_file", url="https://x/b.csv"),
        },
        variables={"MLFLOW_RUN_ID": "j", "A": "1"},
        distribution=Distribution(type="pytorch", nodes=2, processes_per_node=2),
        timeout_s=1.0,
    )
    plan = scratch.redirected(real, tmp_path)
    assert {name: given["mode"] for name, given in plan["inputs"].items()} == {
        "ro_mount": "ro_mount",
        "rw_mount": "download",
    }
    assert [output["path"] for output in plan["outputs"].values()] == [
        str(tmp_path / "outputs" / "f"),
        str(tmp_path / "outputs" / "b" / "b.csv"),
    ]
    assert plan["artifacts"].startswith(str(tmp_path))
    assert plan["variables"] == {"A": "1"}
    assert plan["timeout_s"] is None
    told = "\n".join(scratch.introduction("'n' of j", real, plan, tmp_path))
    assert "the job has 4 processes" in told
    assert "inputs.ro_mount = $AZURE_ML_INPUT_ro_mount, /data" in told


@pytest.mark.parametrize(
    ("kind", "found"),
    [("bubblewrap", "mounts"), ("landlock", "process"), ("process", "process"), ("container", "container")],
)
def test_inputs_are_protected_as_far_as_the_machine_can(tmp_path: Path, kind: str, found: str) -> None:
    plan = scratch.redirected(
        a_plan(isolation=Isolation(kind=kind), inputs={"i": Input(kind="path", path="/d")}), tmp_path
    )
    assert plan["isolation"]["kind"] == found
    told = any("inputs and environment are copies" in line for line in scratch.introduction("", plan, plan, tmp_path))
    assert told == (found == "process")


def test_what_is_not_in_the_folder_that_stands_for_the_code(tmp_path: Path) -> None:
    for name in ("old/a.py", "old/lib/helper.py", "new/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    real = a_plan(code=Code(path=str(tmp_path / "old")))
    plan = {**real, "code": {"path": str(tmp_path / "new"), "url": None, "hash": None}}
    told = list(scratch.introduction("", real, plan, tmp_path))
    assert "not there, and so not in the copy, as additional_includes are: lib/helper.py" in told
