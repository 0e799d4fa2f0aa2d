"""Jobs that go over their limits, on every level that this machine has."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lazulite.model.run_plan import ControlGroups, Distribution, Isolation, Limits, Output
from lazulite.node import cgroups

from .conftest import AGENT, AgentRun, until

ARun = Callable[..., AgentRun]
MEMORY_FROM = "the memory of STANDARD_TEST"
#: Takes a megabyte at a time, and holds it.
GROWS = "x = []\nwhile True:\n    x.append(b'x' * (1 << 20))"


@pytest.fixture(scope="session")
def found() -> dict[str, Any]:
    """What the agent's probe says of this machine."""
    done = subprocess.run([sys.executable, "-I", "-S", str(AGENT), "--probe-limits"], capture_output=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(params=["control groups", "watched"])
def groups(request: pytest.FixtureRequest, found: dict[str, Any]) -> ControlGroups | None:
    if request.param == "watched":
        return None
    if found["memory"] is None or found["pids"] is None:
        pytest.skip("no control groups for memory and processes can be made here")
    return msgspec.convert({"memory": found["memory"], "pids": found["pids"]}, ControlGroups)


def left(groups: ControlGroups | None, run: AgentRun) -> list[cgroups.Group]:
    return cgroups.of(msgspec.to_builtins(groups), str(run.folder)) if groups else []


def test_a_job_over_its_memory_fails_naming_it(a_run: ARun, isolation: Isolation, groups: ControlGroups | None) -> None:
    limits = Limits(memory_bytes=96 << 20, memory_from=MEMORY_FROM, groups=groups)
    run = a_run(f'python -c "{GROWS}"', isolation=isolation, limits=limits).start()
    status = run.wait()
    assert "96 MiB, the memory of STANDARD_TEST" in status["error"]["message"]
    assert "larger VM size" in status["error"]["message"]
    assert "job_memory" in status["error"]["message"]
    if groups:
        assert status["error"]["code"] == "MemoryLimitExceeded"
    assert "96 MiB" in run.log("system_logs/agent.log")
    assert left(groups, run) == []


def test_processes_share_the_memory_of_their_node(a_run: ARun, groups: ControlGroups | None) -> None:
    """None of them takes too much alone."""
    holds = "import time; x = b'x' * (40 << 20); time.sleep(60)"
    command = " & ".join([f'python -c "{holds}"'] * 4) + " & wait"
    limits = Limits(memory_bytes=100 << 20, memory_from=MEMORY_FROM, groups=groups)
    run = a_run(command, limits=limits).start()
    assert run.wait()["error"]["code"] == "MemoryLimitExceeded"


def test_memory_that_processes_share_counts_once(a_run: ARun, groups: ControlGroups | None) -> None:
    forks = "import os, time; x = b'x' * (60 << 20); [os.fork() for _ in range(3)]; time.sleep(1.2)"
    limits = Limits(memory_bytes=300 << 20, groups=groups)
    run = a_run(f'python -c "{forks}"', limits=limits).start()
    status = run.wait()
    assert status["outcome"] == "completed", status["error"]


def test_a_node_has_its_memory_to_itself(a_run: ARun, groups: ControlGroups | None) -> None:
    """Two nodes of which the second takes more than its own, and less than both have."""
    takes = "import os, time; x = b'x' * ((20 + 70 * int(os.environ['NODE_RANK'])) << 20); time.sleep(60)"
    limits = Limits(memory_bytes=80 << 20, memory_from=MEMORY_FROM, groups=groups)
    run = a_run(f'python -c "{takes}"', limits=limits, distribution=Distribution(nodes=2)).start()
    assert "80 MiB" in run.wait()["error"]["message"]


def test_a_job_with_too_many_processes_fails_naming_it(
    a_run: ARun, isolation: Isolation, groups: ControlGroups | None
) -> None:
    command = "for n in $(seq 100); do sleep 60 & done; wait"
    run = a_run(command, isolation=isolation, limits=Limits(processes=40, groups=groups)).start()
    error = run.wait()["error"]
    assert error["code"] == "ProcessLimitExceeded"
    assert "more than 40 processes" in error["message"]
    assert "job_processes" in error["message"]
    assert left(groups, run) == []


def test_a_job_with_too_many_open_files_fails_naming_it(a_run: ARun) -> None:
    run = a_run("python -c \"x = [open('/dev/null') for _ in range(300)]\"", limits=Limits(open_files=200)).start()
    message = run.wait()["error"]["message"]
    assert "may have 200 files open" in message
    assert "job_open_files" in message


@pytest.mark.parametrize("where", ["in one file", "in many files", "in an output"])
def test_a_job_that_writes_too_much_fails_naming_it(a_run: ARun, tmp_path: Path, where: str) -> None:
    command = {
        "in one file": "head -c 6M /dev/zero > big; sleep 60",
        "in many files": "for n in 1 2 3 4; do head -c 1M /dev/zero > $n; done; sleep 60",
        "in an output": "for n in 1 2 3 4; do head -c 1M /dev/zero > ${{outputs.o}}/$n; done; sleep 60",
    }[where]
    output = tmp_path / "output"
    output.mkdir()
    (output / "before").write_bytes(bytes(8 << 20))
    limits = Limits(disk_bytes=3 << 20)
    outputs = {"o": Output(path=str(output))}
    run = a_run(command if "one" not in where else f"set -e; {command}", limits=limits, outputs=outputs).start()
    message = run.wait()["error"]["message"]
    assert "3 MiB" in message
    assert "job_disk_gb" in message


def test_a_job_below_its_limits_is_let_be(a_run: ARun, isolation: Isolation, groups: ControlGroups | None) -> None:
    """Also where they are larger than this machine."""
    limits = Limits(memory_bytes=1 << 50, processes=100, open_files=1 << 30, disk_bytes=1 << 50, groups=groups)
    run = a_run("echo here; cat /proc/self/cgroup", isolation=isolation, limits=limits).start()
    status = run.wait()
    assert status["outcome"] == "completed", status["error"]
    assert run.log().startswith("here\n")
    assert (cgroups.name(str(run.folder), 0) in run.log()) is (groups is not None)
    assert left(groups, run) == []


def test_where_no_group_can_be_made_any_more_the_job_is_watched(a_run: ARun, tmp_path: Path) -> None:
    gone = msgspec.convert({"memory": {"version": 1, "folder": "/proc/no-group"}}, ControlGroups)
    run = a_run(f'python -c "{GROWS}"', limits=Limits(memory_bytes=96 << 20, memory_from=MEMORY_FROM, groups=gone))
    assert "96 MiB" in run.start().wait()["error"]["message"]
    assert "no control group can be made" in run.log("system_logs/agent.log")


def test_the_groups_of_a_killed_agent_are_ended(a_run: ARun, groups: ControlGroups | None) -> None:
    """With what has thrown its environment away, and left session and parents."""
    if groups is None:
        pytest.skip("there are no groups on this level")
    run = a_run("(env -i setsid sleep 300 &) ; sleep 300", limits=Limits(processes=50, groups=groups)).start()
    agent = run.wait("running")["pid"]
    (group,) = left(groups, run)
    until(lambda: len(group.processes()) == 2)
    keeper = int(Path(f"/proc/{agent}/stat").read_text().rpartition(")")[2].split()[1])
    for pid in (keeper, agent):
        subprocess.run(["kill", "-9", str(pid)], check=True)
    until(lambda: not Path(f"/proc/{agent}").exists())
    assert group.processes()
    run.start()
    assert run.status()["error"]["code"] == "AgentLost"
    assert left(groups, run) == []
