"""What is asked of a run's limits, and what they say; no process is limited here."""

import re
import resource
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lazulite.model.run_plan import ContainerEngine, ControlGroup, ControlGroups, EnvironmentPlan, Limits, RunPlan
from lazulite.node import limits
from lazulite.node.cgroups import Group
from lazulite.node.limits import Enforced
from lazulite.node.run import Run
from lazulite.node.status import Status

GIB = 1 << 30
ALL = Limits(memory_bytes=14 * GIB, memory_from="the memory of S", processes=9, open_files=7, disk_bytes=GIB)


def enforced(folder: Path, asked: Limits, **changes: Any) -> Enforced:
    environment = EnvironmentPlan(key="k", name="e:1", python="3.11", interpreter="/python")
    plan = RunPlan(
        job="j",
        command="true",
        environment=environment,
        environments_root=str(folder),
        artifacts=str(folder / "artifacts"),
        limits=asked,
        **changes,
    )
    return Enforced(Run(str(folder), msgspec.to_builtins(plan), {}, Status(str(folder / "status.json"))))


def test_without_limits_nothing_is_set_or_watched(tmp_path: Path) -> None:
    none = enforced(tmp_path, Limits())
    assert none.rlimits() == {}
    assert none.exceeded() is None
    assert "limits: none" in (tmp_path / "artifacts/system_logs/agent.log").read_text()


def test_what_no_group_counts_each_process_is_limited_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr(limits.processes, "of_user", lambda _uid: 300)
    place = ControlGroup(version=2, folder=str(tmp_path))
    found = enforced(tmp_path, ALL).rlimits()
    assert found == {
        resource.RLIMIT_DATA: 14 * GIB,
        resource.RLIMIT_NPROC: 318,
        resource.RLIMIT_NOFILE: 7,
        resource.RLIMIT_FSIZE: GIB,
    }
    grouped = msgspec.structs.replace(ALL, groups=ControlGroups(memory=place, pids=place))
    assert enforced(tmp_path, grouped).rlimits() == {resource.RLIMIT_NOFILE: 7, resource.RLIMIT_FSIZE: GIB}


@pytest.mark.parametrize(
    ("exit_code", "said", "cause"),
    [
        (1, "OSError: [Errno 24] Too many open files: 'x'", "7 files open.*job_open_files"),
        (1, "OSError: [Errno 27] File too large", "1 GiB.*job_disk_gb"),
        (1, "MemoryError", "14 GiB, the memory of S.*larger VM size"),
        (1, "RuntimeError: can't start new thread", "9 processes and threads.*job_processes"),
        (1, "bash: fork: retry: Resource temporarily unavailable", "9 processes and threads"),
        (1, "ValueError", "^$"),
    ],
)
def test_a_failure_for_a_limit_names_it(tmp_path: Path, exit_code: int, said: str, cause: str) -> None:
    assert re.search(cause, enforced(tmp_path, ALL).cause(exit_code, said))
    assert enforced(tmp_path, Limits()).cause(exit_code, said) == ""


def test_a_killed_container_names_its_memory(tmp_path: Path) -> None:
    engine = ContainerEngine(kind="podman", command=["podman"])
    assert "14 GiB" in enforced(tmp_path, ALL, container=engine).cause(137, "")
    assert enforced(tmp_path, ALL).cause(137, "") == ""


def test_a_figure_of_the_settings_is_raised_there(tmp_path: Path) -> None:
    message = enforced(tmp_path, Limits(memory_bytes=GIB // 2)).too_much_memory().message
    assert "512 MiB, the server's setting job_memory" in message
    assert "VM size" not in message


def test_what_was_killed_for_the_machine_is_over_no_limit_of_its_own(tmp_path: Path) -> None:
    group = tmp_path / "groups" / "lazulite-x"
    group.mkdir(parents=True)
    (group / "memory.events").write_text("oom_kill 1\n")
    place = ControlGroup(version=2, folder=str(group.parent))
    found = enforced(tmp_path, Limits(processes=9, groups=ControlGroups(memory=place, pids=place)))
    found.groups[0] = Group(found.places, group.name)
    assert found.exceeded() is None
    assert "this machine ran out of memory" in found.cause(137, "")
    (group / "pids.events").write_text("max 1\n")
    failure = found.exceeded()
    assert failure is not None
    assert failure.code == "ProcessLimitExceeded"


def test_sizes_for_people() -> None:
    assert [limits.gib(size) for size in (14 * GIB, 7 * GIB // 2, 64 << 20, 1900 * GIB)] == [
        "14 GiB",
        "3.5 GiB",
        "64 MiB",
        "1900 GiB",
    ]
