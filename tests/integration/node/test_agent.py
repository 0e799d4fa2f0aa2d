"""The life of a run: phases, status, failure, cancellation, timeouts, and what survives what."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lazulite.model.run_plan import Isolation, RunStatus

from .conftest import AGENT, AgentRun, level, until

ARun = Callable[..., AgentRun]


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]
    except OSError:
        return False


def test_hello_world(a_run: ARun, isolation: Isolation) -> None:
    run = a_run("echo hello; echo world >&2; pwd", isolation=isolation).start()
    status = run.wait()
    assert (status["phase"], status["outcome"], status["exit_code"]) == ("done", "completed", 0)
    assert run.log().splitlines() == ["hello", "world", str(run.folder / "exe" / "wd")]
    assert {"preparing", "environment", "process", "running", "finalizing", "done"} <= status["times"].keys()
    assert "isolation" in run.log("system_logs/agent.log")


def test_a_command_longer_than_an_argument_may_be(a_run: ARun, isolation: Isolation) -> None:
    run = a_run("true\n" * 60_000 + "echo $0 'the end'; exit 4", isolation=isolation).start()
    assert run.wait()["exit_code"] == 4
    assert run.log() == "/bin/bash the end\n"


def test_the_status_reads_as_the_servers_type(a_run: ARun) -> None:
    import msgspec

    run = a_run("exit 3").start()
    run.wait()
    status = msgspec.json.decode((run.folder / "status.json").read_bytes(), type=RunStatus)
    assert status.outcome == "failed"
    assert status.exit_code == 3


def test_a_failure_names_code_and_likely_cause(a_run: ARun, isolation: Isolation) -> None:
    run = a_run("python -c 'import pandas'", isolation=isolation).start()
    status = run.wait()
    assert status["outcome"] == "failed"
    assert status["exit_code"] == 1
    assert status["error"]["code"] == "UserError/CommandFailed"
    assert "'pandas' is not in the environment test-env:1" in status["error"]["message"]


def test_a_process_sees_what_it_was_given_and_nothing_of_the_server(
    a_run: ARun, isolation: Isolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_SECRET", "hidden")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    secrets = {"variables": {"MLFLOW_TRACKING_TOKEN": "a-token"}}
    run = a_run("env -0", variables={"AZUREML_RUN_ID": "r1"}, secrets=secrets, isolation=isolation).start()
    run.wait()
    seen = dict(entry.split("=", 1) for entry in run.log().strip("\0").split("\0"))
    assert seen["AZUREML_RUN_ID"] == "r1"
    assert seen["MLFLOW_TRACKING_TOKEN"] == "a-token"
    assert seen["CUDA_VISIBLE_DEVICES"] == "7"
    assert seen["HOME"].startswith(str(run.folder))
    assert "SERVER_SECRET" not in seen


def test_secrets_stay_out_of_status_and_logs(a_run: ARun) -> None:
    run = a_run("false", secrets={"variables": {"TOKEN": "s3cr3t-value"}, "queries": {}}).start()
    run.wait()
    written = [path for path in [*run.artifacts.rglob("*"), run.folder / "status.json"] if path.is_file()]
    assert all("s3cr3t-value" not in path.read_text() for path in written)


def test_starting_twice_runs_the_job_once(a_run: ARun) -> None:
    run = a_run("echo once; sleep 0.5")
    command = [sys.executable, "-I", "-S", str(AGENT), str(run.folder)]
    started = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(30) for process in started] == [0, 0, 0]
    run.wait()
    run.start()
    assert run.status()["outcome"] == "completed"
    assert run.log() == "once\n"


def test_the_log_grows_by_whole_lines_while_it_runs(a_run: ARun) -> None:
    run = a_run("printf 'one\\ntw'; until [ -e go ]; do sleep 0.02; done; printf 'o\\nend'").start()
    until(lambda: (run.artifacts / "user_logs/std_log.txt").exists() and run.log())
    assert run.log() == "one\n"
    (run.folder / "exe" / "wd" / "go").touch()
    run.wait()
    assert run.log() == "one\ntwo\nend"


def test_the_agent_outlives_the_process_that_started_it(a_run: ARun) -> None:
    run = a_run("until [ -e go ]; do sleep 0.02; done; echo done")
    command = [sys.executable, "-I", "-S", str(AGENT), str(run.folder)]
    code = f"import subprocess, time; subprocess.run({command!r}); time.sleep(60)"
    server = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    status = run.wait("running")
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    assert alive(status["pid"])
    (run.folder / "exe" / "wd" / "go").touch()
    assert run.wait()["outcome"] == "completed"


@pytest.mark.parametrize("how", ["file", "signal"])
def test_cancel_ends_also_orphaned_grandchildren(a_run: ARun, isolation: Isolation, how: str) -> None:
    marker = f"{os.getpid()}{abs(hash(how + isolation.kind)) % 10**6}"
    command = f"(setsid sh -c 'trap \"\" TERM; sleep 9{marker}' &) ; echo up; sleep 9{marker}"
    run = a_run(command, isolation=isolation, grace_s=0.3).start()
    status = run.wait("running")
    until(lambda: len(sleepers(marker)) == 2)
    if how == "file":
        (run.folder / "cancel").touch()
    else:
        os.kill(status["pid"], signal.SIGTERM)
    status = run.wait()
    assert status["outcome"] == "canceled"
    assert "error" not in status
    assert sleepers(marker) == []


def sleepers(marker: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", f"9{marker}".encode()]:
                found.append(path.parent.name)
        except OSError:
            continue
    return [pid for pid in found if alive(int(pid))]


@pytest.mark.parametrize("kind", ["process", "landlock", "bubblewrap", "mounts"])
def test_a_cancelled_process_may_tidy_up(a_run: ARun, kind: str) -> None:
    isolation = msgspec.structs.replace(level("bubblewrap" if kind == "mounts" else kind), kind=kind)
    command = "trap 'echo tidied; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    run = a_run(command, isolation=isolation).start()
    until(lambda: (run.artifacts / "user_logs/std_log.txt").exists() and "up" in run.log())
    (run.folder / "cancel").touch()
    assert run.wait()["outcome"] == "canceled"
    assert "tidied" in run.log()


def test_timeout(a_run: ARun, isolation: Isolation) -> None:
    status = a_run("sleep 60", timeout_s=0.3, isolation=isolation, grace_s=0.3).start().wait(seconds=20)
    assert status["outcome"] == "failed"
    assert status["error"]["code"] == "JobTimeout"
    assert "limits.timeout" in status["error"]["message"]


def test_a_killed_agent_leaves_a_job_that_is_called_lost(a_run: ARun, isolation: Isolation) -> None:
    run = a_run("sleep 60", isolation=isolation).start()
    status = run.wait("running")
    os.kill(status["pid"], signal.SIGKILL)
    until(lambda: not alive(status["pid"]))
    until(lambda: not any(alive(group["pid"]) for group in status["groups"]))
    run.start()
    after = run.status()
    assert (after["phase"], after["outcome"], after["error"]["code"]) == ("done", "failed", "AgentLost")


def test_background_processes_end_with_the_command(a_run: ARun) -> None:
    marker = f"{os.getpid()}77"
    run = a_run(f"sleep 9{marker} & echo started").start()
    assert run.wait()["outcome"] == "completed"
    assert sleepers(marker) == []


def test_an_unreadable_plan_is_reported(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{")
    subprocess.run([sys.executable, "-I", "-S", str(AGENT), str(tmp_path)], check=True)
    status: dict[str, Any] = until(
        lambda: (tmp_path / "status.json").exists() and json.loads((tmp_path / "status.json").read_text())
    )
    assert status["error"]["code"] == "PlanUnreadable"
