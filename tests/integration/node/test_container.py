"""Jobs in real containers, of an image that is made here: what they see, how they end, and that nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.container_fixture import engine, image, running

from lazulite.model.run_plan import (
    Code,
    DataKind,
    Distribution,
    EnvironmentPlan,
    ImagePlan,
    Input,
    Isolation,
    Limits,
    Output,
)

from .conftest import AGENT, AgentRun, until

ARun = Callable[..., AgentRun]


@pytest.fixture
def contained(a_run: ARun) -> ARun:
    """A run in a container of the busybox image."""

    def build(command: str, **changes: Any) -> AgentRun:
        given = ImagePlan(name=image())
        environment = EnvironmentPlan(key="image-test", name="busy:1", python="", interpreter="", image=given)
        fields = {
            "environment": environment,
            "container": engine(),
            "isolation": Isolation(kind="container"),
            "shm_size": "16m",
        }
        return a_run(command, **{**fields, **changes})

    return build


def names(run: AgentRun) -> list[str]:
    """The containers of this very run: the job's name and a hash of its folder."""
    import hashlib

    return running(f"{run.plan.job}-{hashlib.sha256(str(run.folder).encode()).hexdigest()[:12]}-")


def up(run: AgentRun, word: str = "up") -> None:
    until(lambda: (run.artifacts / "user_logs/std_log.txt").exists() and word in run.log())


def test_hello_world(contained: ARun) -> None:
    run = contained("echo hello; echo world >&2; pwd; echo $FROM_IMAGE; ls /; cat /dev/missing; exit 0").start()
    status = run.wait()
    assert (status["outcome"], status.get("exit_code")) == ("completed", 0), status
    lines = run.log().splitlines()
    assert [line for line in lines if line != "world"][:3] == ["hello", str(run.folder / "exe" / "wd"), "yes"]
    assert "world" in lines
    assert "usr" not in lines  # the image has no /usr, and this machine's is not shown
    assert engine().detail in run.log("system_logs/agent.log")
    assert names(run) == []


def test_the_exit_code_is_the_commands(contained: ARun) -> None:
    status = contained("echo about to fail; exit 42").start().wait()
    assert (status["outcome"], status["exit_code"]) == ("failed", 42)
    assert status["error"]["code"] == "UserError/CommandFailed"
    assert "about to fail" in status["error"]["message"]


def test_inputs_outputs_and_code(contained: ARun, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("one\n")
    (tmp_path / "a:b.csv").write_text("two\n")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.sh").write_text(
        "cat $1/a.txt $2 > $3/copy.txt; echo no > $1/new; echo three > outputs/o\n"
    )
    run = contained(
        "sh main.sh ${{inputs.folder}} ${{inputs.file}} ${{outputs.made}}",
        code=Code(path=str(tmp_path / "code")),
        inputs={
            "folder": Input(kind=DataKind.PATH, path=str(tmp_path / "in")),
            "file": Input(kind=DataKind.PATH, type="uri_file", path=str(tmp_path / "a:b.csv")),
        },
        outputs={"made": Output(path=str(tmp_path / "out"))},
    ).start()
    status = run.wait()
    assert status["outcome"] == "completed", status
    assert (tmp_path / "out" / "copy.txt").read_text() == "one\ntwo\n"
    assert (tmp_path / "out" / "copy.txt").stat().st_uid == os.getuid()
    assert not (tmp_path / "in" / "new").exists()
    assert "Read-only file system" in run.log()
    assert run.log("outputs/o") == "three\n"


def test_secrets_and_odd_values_reach_the_process_and_no_command_line(
    contained: ARun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_SECRET", "hidden")
    secrets = {"variables": {"TOKEN": "s3cr3t-value"}}
    odd = "two\nlines with 'quotes' and $HOME"
    run = contained('echo "$TOKEN|$ODD|$SERVER_SECRET"; echo up; sleep 60', secrets=secrets, variables={"ODD": odd})
    run.start()
    up(run)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"s3cr3t-value" not in path.read_bytes()
        except OSError:
            continue
    inspected = subprocess.run([*engine().command, "inspect", *names(run)], capture_output=True, text=True, check=True)
    assert "s3cr3t-value" not in inspected.stdout
    (run.folder / "cancel").touch()
    run.wait()
    assert f"s3cr3t-value|{odd}|\n" in run.log()


def test_a_cancelled_command_may_tidy_up(contained: ARun) -> None:
    run = contained("trap 'echo tidied; exit 0' TERM; echo up; while :; do sleep 0.05; done").start()
    up(run)
    (run.folder / "cancel").touch()
    assert run.wait()["outcome"] == "canceled"
    assert "tidied" in run.log()
    assert names(run) == []


def test_cancel_ends_what_ignores_it(contained: ARun) -> None:
    run = contained("trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep 99' &); echo up; while :; do sleep 1; done")
    run.start()
    up(run)
    (run.folder / "cancel").touch()
    assert run.wait()["outcome"] == "canceled"
    assert names(run) == []


def test_cancel_at_once(contained: ARun) -> None:
    run = contained("echo up; sleep 60", grace_s=20.0).start()
    run.wait("running")
    (run.folder / "cancel").touch()
    assert run.wait(seconds=15)["outcome"] == "canceled"
    assert names(run) == []


def test_timeout(contained: ARun) -> None:
    run = contained("sleep 60", timeout_s=0.3, grace_s=0.5).start()
    status = run.wait()
    assert status["error"]["code"] == "JobTimeout"
    assert names(run) == []


def test_the_agent_outlives_the_process_that_started_it(contained: ARun) -> None:
    run = contained("echo up; until [ -e go ]; do sleep 0.05; done; echo done")
    command = [sys.executable, "-I", "-S", str(AGENT), str(run.folder)]
    code = f"import subprocess, time; subprocess.run({command!r}); time.sleep(60)"
    server = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    up(run)
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    (run.folder / "exe" / "wd" / "go").touch()
    assert run.wait()["outcome"] == "completed"
    assert run.log() == "up\ndone\n"


def test_the_container_of_a_killed_agent_is_ended_when_it_is_missed(contained: ARun) -> None:
    run = contained("echo up; sleep 60").start()
    up(run)
    os.kill(run.status()["pid"], signal.SIGKILL)
    assert names(run) != []
    run.start()
    assert run.status()["error"]["code"] == "AgentLost"
    assert names(run) == []


def test_ranks_are_containers_that_reach_each_other(contained: ARun) -> None:
    asked = Distribution(type="pytorch", nodes=1, processes_per_node=2)
    command = (
        "if [ $RANK = 0 ]; then echo ready | nc -l -p $MASTER_PORT; echo served; "
        "else until nc 127.0.0.1 $MASTER_PORT < /dev/null; do sleep 0.1; done; fi"
    )
    run = contained(command, distribution=asked).start()
    assert run.wait()["outcome"] == "completed"
    assert run.log("user_logs/std_log_process_01.txt").strip().endswith("ready")
    assert names(run) == []


def test_memory_limit(contained: ARun) -> None:
    limits = Limits(memory_bytes=32 << 20, memory_from="the memory of STANDARD_TEST")
    status = contained("tail /dev/zero", limits=limits).start().wait()
    assert status["outcome"] == "failed"
    assert "32 MiB, the memory of STANDARD_TEST" in status["error"]["message"]


def test_a_container_below_its_limits_is_let_be(contained: ARun) -> None:
    """What the engine's own programs take does not count."""
    limits = Limits(memory_bytes=32 << 20, processes=20, open_files=200, disk_bytes=1 << 30)
    status = contained("sleep 1.2; ulimit -n", limits=limits).start().wait()
    assert status["outcome"] == "completed", status["error"]


def test_an_image_that_cannot_be_had_is_named(contained: ARun) -> None:
    missing = ImagePlan(name="127.0.0.1:1/no/such:1")
    environment = EnvironmentPlan(key="image-x", name="x:1", python="", interpreter="", image=missing)
    run = contained("true", environment=environment).start()
    error = run.wait()["error"]
    assert error["code"] == "EnvironmentBuildFailed"
    assert "The image 127.0.0.1:1/no/such:1 could not be pulled" in error["message"]
    assert "could not be reached" in error["message"]
    assert "127.0.0.1:1/no/such:1" in run.log("azureml-logs/20_image_build_log.txt")


def test_a_build_context_is_built_once(contained: ARun, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "note.txt").write_text("from the context\n")
    (context / "Dockerfile").write_text(f"FROM {image()}\nCOPY note.txt /note.txt\nRUN echo made > /made.txt\n")
    tag = f"lazulite-build:test{os.getpid()}"
    plan = ImagePlan(name=tag, context=str(context), dockerfile="Dockerfile")
    environment = EnvironmentPlan(key=f"image-{os.getpid()}", name="b:1", python="", interpreter="", image=plan)
    try:
        runs = [contained("cat /note.txt /made.txt", environment=environment).start() for _ in range(2)]
        assert [run.wait()["outcome"] for run in runs] == ["completed", "completed"]
        assert [run.log() for run in runs] == ["from the context\nmade\n"] * 2
        built = [run for run in runs if "built in" in run.log("system_logs/agent.log")]
        assert len(built) == 1
        assert "note.txt" in built[0].log("azureml-logs/20_image_build_log.txt")
    finally:
        subprocess.run([*engine().command, "rmi", "--force", tag], capture_output=True, check=False)


def test_a_step_that_fails_is_named(contained: ARun, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {image()}\nRUN echo trying && false\n")
    plan = ImagePlan(name="lazulite-build:broken", context=str(tmp_path), dockerfile="Dockerfile")
    environment = EnvironmentPlan(key="image-broken", name="b:1", python="", interpreter="", image=plan)
    error = contained("true", environment=environment).start().wait()["error"]
    assert error["code"] == "EnvironmentBuildFailed"
    assert "RUN echo trying && false" in error["message"]


def test_an_image_without_a_shell_says_so(contained: ARun, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /x\n")
    tag = f"lazulite-build:bare{os.getpid()}"
    plan = ImagePlan(name=tag, context=str(tmp_path), dockerfile="Dockerfile")
    environment = EnvironmentPlan(key=f"image-bare{os.getpid()}", name="b:1", python="", interpreter="", image=plan)
    image()
    try:
        error = contained("true", environment=environment).start().wait()["error"]
    finally:
        subprocess.run([*engine().command, "rmi", "--force", tag], capture_output=True, check=False)
    assert error["code"] == "ContainerStartFailed"
    assert "no /bin/sh" in error["message"]
