"""What is left of a run whose agent was killed, and what a run's files may do to its agent."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lazulite.model.run_plan import Isolation, RunStatus
from lazulite.node import marks
from lazulite.node.output import LONGEST_HELD
from lazulite.node.status import start_ticks

from .conftest import AgentRun, an_environment, until

ARun = Callable[..., AgentRun]

#: Children that outlive their parents, and a daemon.
COMMAND = """
(sleep 7{mark} & sleep 7{mark}; true) & (setsid sh -c 'sleep 7{mark} & sleep 7{mark}' &)
sleep 7{mark}
"""
#: A daemon that has thrown its environment away.
UNMARKED = "(env -i setsid /bin/sleep 7{mark} &)\n"


def sleepers(mark: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[1:2] == [f"7{mark}".encode()]:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def started(a_run: ARun, mark: str, command: str = COMMAND, **changes: Any) -> tuple[AgentRun, int]:
    """The run, all of it up, and the agent's process id."""
    run = a_run(command.format(mark=mark), **changes).start()
    agent = run.wait("running")["pid"]
    until(lambda: len(sleepers(mark)) == command.count("{mark}"))
    return run, agent


def kill_with_keeper(agent: int) -> None:
    for pid in (parent(agent), agent):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{agent}").exists())


def test_the_keeper_ends_what_a_killed_agent_leaves(a_run: ARun, isolation: Isolation) -> None:
    mark = f"{os.getpid()}1"
    run, agent = started(a_run, mark, UNMARKED + COMMAND, isolation=isolation)
    keeper = parent(agent)
    os.kill(agent, signal.SIGKILL)
    until(lambda: not sleepers(mark))
    until(lambda: not Path(f"/proc/{keeper}").exists())
    assert marks.of(str(run.folder)) == []
    run.start()
    assert run.status()["error"]["code"] == "AgentLost"


def test_the_next_agent_ends_what_both_left(a_run: ARun) -> None:
    mark = f"{os.getpid()}2"
    run, agent = started(a_run, mark)
    kill_with_keeper(agent)
    assert sleepers(mark)
    run.start()
    assert sleepers(mark) == []
    assert run.status()["error"]["code"] == "AgentLost"


def test_an_agent_without_a_folder_ends_its_job(a_run: ARun, isolation: Isolation) -> None:
    mark = f"{os.getpid()}3"
    run, agent = started(a_run, mark, isolation=isolation)
    shutil.rmtree(run.folder, ignore_errors=True)
    until(lambda: not Path(f"/proc/{agent}").exists())
    until(lambda: not sleepers(mark))


def a_group(run: AgentRun | None) -> "subprocess.Popen[bytes]":
    """A process that leads a group, with the mark of the run."""
    variables = os.environ | ({marks.MARK: str(run.folder)} if run else {})
    return subprocess.Popen(["sleep", "60"], start_new_session=True, env=variables)


@pytest.mark.parametrize("same_start", [True, False])
def test_a_noted_group_is_ended_where_the_machine_was_not_started_anew(a_run: ARun, same_start: bool) -> None:
    run, agent = started(a_run, f"{os.getpid()}4")
    kill_with_keeper(agent)
    noted = a_group(run if same_start else None)
    group = {"pid": noted.pid, "start_ticks": start_ticks(noted.pid)}
    boot = marks.boot() if same_start else "another"
    (run.folder / "status.json").write_text(json.dumps({**run.status(), "groups": [group], "boot": boot}))
    run.start()
    if same_start:
        assert noted.wait(10) == -signal.SIGKILL
    else:
        assert noted.poll() is None
        noted.kill()
        noted.wait()


@pytest.mark.parametrize(
    "spoilt", ["[", "[" * 100_000, {"groups": [1], "times": 1}, {"groups": [{"pid": "1"}], "times": {"running": 1}}]
)
def test_a_spoilt_status_of_a_killed_agent_is_replaced(a_run: ARun, spoilt: str | dict[str, Any]) -> None:
    run, agent = started(a_run, f"{os.getpid()}5")
    kill_with_keeper(agent)
    text = spoilt if isinstance(spoilt, str) else json.dumps({**run.status(), **spoilt})
    (run.folder / "status.json").write_text(text)
    run.start()
    status = run.status()
    assert status["error"]["code"] == "AgentLost"
    msgspec.convert(status, RunStatus)


def test_a_strangers_group_that_a_job_noted_is_let_be(a_run: ARun) -> None:
    run, agent = started(a_run, f"{os.getpid()}6")
    kill_with_keeper(agent)
    with a_group(None) as stranger:
        group = {"pid": stranger.pid, "start_ticks": start_ticks(stranger.pid)}
        (run.folder / "status.json").write_text(json.dumps({**run.status(), "groups": [group]}))
        run.start()
        assert stranger.poll() is None
        stranger.kill()


def test_a_line_without_its_end_appears_as_it_comes(a_run: ARun) -> None:
    size = 8 << 20
    run = a_run(f"head -c {size} /dev/zero | tr '\\0' x; until [ -e go ]; do sleep 0.02; done; echo end").start()
    log = run.artifacts / "user_logs/std_log.txt"
    until(lambda: log.exists() and log.stat().st_size >= size - LONGEST_HELD)
    (run.folder / "exe" / "wd" / "go").touch()
    assert run.wait()["outcome"] == "completed"
    assert log.stat().st_size == size + len("end\n")


def test_who_prints_without_end_can_be_cancelled(a_run: ARun) -> None:
    run = a_run("yes").start()
    run.wait("running")
    (run.folder / "cancel").touch()
    assert run.wait()["outcome"] == "canceled"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.getuid() or not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system, where a container lets it")
    yield folder
    until(lambda: subprocess.run(["umount", str(folder)], capture_output=True).returncode == 0)


@pytest.mark.parametrize("ends", ["by itself", "by the full log"])
def test_a_full_disk_is_named_and_the_last_word_is_written(a_run: ARun, small_disk: Path, ends: str) -> None:
    rest = "exit 1" if ends == "by itself" else "while :; do echo a line; done"
    plan = a_run(f"cat /dev/zero > big; {rest}", environment=an_environment(requirements=[], key="none")).plan
    run = AgentRun(small_disk / "run", msgspec.structs.replace(plan, artifacts=str(small_disk / "artifacts"))).start()
    status = run.wait()
    assert status["outcome"] == "failed"
    assert f"The disk of {small_disk}" in status["error"]["message"]
    until(lambda: not Path(f"/proc/{status['pid']}").exists())


def test_a_log_that_does_not_fit_on_the_disk_fails_the_job(a_run: ARun) -> None:
    run = a_run("while :; do echo a line; sleep 0.02; done")
    (run.artifacts / "user_logs").mkdir(parents=True)
    (run.artifacts / "user_logs/std_log.txt").symlink_to("/dev/full")
    error = run.start().wait()["error"]
    assert error["code"] == "DiskFull"
    assert str(run.artifacts) in error["message"]
