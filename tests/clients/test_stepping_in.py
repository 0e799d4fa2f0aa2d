"""The command line's `job debug` and `job rerun`, on pipelines made with the SDK."""

import json
import os
import pty
import re
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl
from azure.ai.ml.entities import Job
from azure.ai.ml.sweep import Choice
from tests.clients.small_jobs import BARE, ended
from tests.server_fixture import RunningServer

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def failed(ml_client: MLClient, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A pipeline whose second step fails."""
    ml_client.environments.create_or_update(BARE)
    code = tmp_path_factory.mktemp("code")
    (code / "script.py").write_text("import sys; print('in script', open(sys.argv[1] + '/a.txt').read())\n")
    make = command(
        name="make",
        outputs={"made": Output(type="uri_folder")},
        command="echo word > ${{outputs.made}}/a.txt",
        environment="bare:1",
    )
    use = command(
        name="use",
        inputs={"folder": Input(type="uri_folder")},
        outputs={"written": Output(type="uri_folder")},
        code=str(code),
        command="python script.py ${{inputs.folder}}; echo bad > ${{outputs.written}}/b.txt; exit 4",
        environment="bare:1",
        environment_variables={"COLOUR": "blue"},
    )

    @dsl.pipeline(default_compute="serverless")
    def both() -> None:
        first = make()
        use(folder=first.outputs.made)

    return ended(ml_client, ml_client.jobs.create_or_update(both()).name)


@pytest.fixture(scope="module")
def nested(ml_client: MLClient, failed: Job) -> Job:
    """A pipeline in a pipeline, of whose two steps the second fails in one of its processes."""
    before = command(
        name="before", outputs={"o": Output(type="uri_folder")}, command="date > ${{outputs.o}}/d", environment="bare:1"
    )
    ranks = command(
        name="ranks",
        inputs={"data": Input(type="uri_folder")},
        command="test $RANK = 0",
        environment="bare:1",
        distribution={"type": "pytorch", "process_count_per_instance": 2},
    )

    @dsl.pipeline()
    def part() -> None:
        before_step = before()
        before_step.name = "before"
        ranks_step = ranks(data=before_step.outputs.o)
        ranks_step.name = "ranks"

    @dsl.pipeline(default_compute="serverless")
    def whole() -> None:
        inner = part()
        inner.name = "inner"

    return ended(ml_client, ml_client.jobs.create_or_update(whole()).name)


def test_debug_runs_a_command_where_the_step_ran(server: RunningServer, failed: Job) -> None:
    text = "pwd; ls; python script.py ${{inputs.folder}}; echo $COLOUR; echo new > ${{outputs.written}}/c.txt"
    done = lazulite(server, "job", "debug", failed.name, "--node", "use", "--", text)
    assert done.returncode == 0, done.stderr
    assert "script.py" in done.stdout
    assert "in script word" in done.stdout
    assert "blue" in done.stdout
    scratch = Path(done.stderr.split("outputs and logs go to ")[1].split(",")[0])
    assert (scratch / "outputs" / "written" / "c.txt").read_text() == "new\n"
    assert not list(server.home.glob("storage/**/c.txt"))
    assert lazulite(server, "job", "debug", failed.name, "--node", "use", "--", "exit 7").returncode == 7


def test_inputs_are_told_and_stay_as_they_are(server: RunningServer, ml_client: MLClient, failed: Job) -> None:
    given = next(server.home.glob("storage/**/made/a.txt"))
    text = "echo more >> ${{inputs.folder}}/a.txt"
    done = lazulite(server, "job", "debug", failed.name, "--node", "use", "--", text)
    assert f"inputs.folder = $AZURE_ML_INPUT_folder, {given.parent}\n" in done.stderr
    assert given.read_text() == "word\n"
    mounted = server.note["isolation"]["kind"] == "bubblewrap"  # type: ignore[index]
    assert (done.returncode != 0) == mounted
    assert ("inputs and environment are copies" in done.stderr) != mounted
    folder = Input(type="uri_folder", path=str(given.parent), mode="rw_mount")
    job = command(inputs={"d": folder, "n": 3}, command="ls ${{inputs.d}}", environment="bare:1", compute="serverless")
    name = ended(ml_client, ml_client.jobs.create_or_update(job).name).name
    done = lazulite(server, "job", "debug", name, "--", "cd ${{inputs.d}}; echo new > new.txt; ls")
    assert done.stdout == "a.txt\nnew.txt\n"
    assert "inputs.n = 3\n" in done.stderr
    assert not list(server.home.glob("storage/**/new.txt"))


def test_the_jobs_own_command_with_code_as_it_is_now(server: RunningServer, failed: Job, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('mended')\n")
    done = lazulite(server, "job", "debug", failed.name, "--node", "use", "--code", str(tmp_path), "--run")
    assert (done.stdout, done.returncode) == ("mended\n", 4), done.stderr
    assert f"its code is a copy of {tmp_path}\n" in done.stderr
    again = lazulite(server, "job", "debug", failed.name, "--node", "use", "--run")
    assert again.stdout == "in script word\n\n"


def test_debug_says_what_is_wrong(server: RunningServer, failed: Job) -> None:
    assert "it has: first, use" in lazulite(server, "job", "debug", failed.name, "--node", "us", "--", "ls").stderr
    assert "name one of its steps" in lazulite(server, "job", "debug", failed.name, "--", "ls").stderr
    assert (
        f"`lazulite job debug {failed.name} --node use --home"
        in lazulite(server, "job", "debug", failed.name, "--run").stderr
    )
    assert "--code must name a folder" in lazulite(server, "job", "debug", failed.name, "--code", "nowhere").stderr
    nobody = lazulite(server, "job", "debug", failed.name, "--node", "use")
    assert "there is no terminal for a shell\n  -> name a command" in nobody.stderr
    pdb = lazulite(server, "job", "debug", failed.name, "--node", "use", "--pdb")
    assert "there is no terminal for pdb" in pdb.stderr
    assert "There is no job 'nothing'" in lazulite(server, "job", "debug", "nothing", "--", "ls").stderr


def test_a_shell_is_where_the_step_ran(server: RunningServer, failed: Job) -> None:
    with Shell(server, failed.name, "--node", "use") as shell:
        shell.until("(use) ")
        shell.type("pwd; ls; echo colour=$COLOUR run=$AZUREML_RUN_ID logs-to=[$MLFLOW_RUN_ID]")
        said = shell.until("logs-to=[]")
        assert re.search(r"/lazulite-debug-\w+/run/exe/wd\r", said)
        assert "script.py" in said
        assert "colour=blue" in said
        shell.type('test -t 0 && bash -c "$JOB_COMMAND"; echo ended=$?')
        assert "in script word" in shell.until("ended=4")
        shell.type("\x10" * 3)  # three times up: what this shell was told, and before that the step's command
        assert "in script word" in shell.until("exit\r\n")  # with which it ends, and with that the shell
        assert shell.ended() == 4


def test_pdb_where_the_step_fails(server: RunningServer, failed: Job) -> None:
    with Shell(server, failed.name, "--node", "use", "--pdb", "--", "python -u script.py nowhere && exit 9") as shell:
        shell.until("(Pdb) ")
        shell.type("p sys.argv")
        shell.until("['script.py', 'nowhere']")
        shell.type("q")
        assert shell.ended() == 1


def test_a_command_may_ask_at_a_terminal(server: RunningServer, failed: Job) -> None:
    with Shell(server, failed.name, "--node", "use", "--", "python -m pdb script.py; exit 6") as shell:
        shell.until("(Pdb) ")
        shell.type("p sys.argv if 'sys' in globals() else 40 + 2")
        shell.until("42")
        shell.type("q")
        assert shell.ended() == 6


def test_a_debugger_stops_in_the_steps_code(server: RunningServer, failed: Job) -> None:
    text = "python -V; PYTHONPATH=. python -u script.py ${{inputs.folder}}; exit 4"
    arguments = command_line(server, "job", "debug", failed.name, "--node", "use", "--debugpy", "0", "--", text)
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = ""
        while '"justMyCode"' not in said:
            said += process.stderr.readline()
        found = re.search(r"waits for a debugger on 127.0.0.1:(\d+)", said)
        assert found is not None, said
        folder = said.split("outputs and logs go to ")[1].split(",")[0]
        with Debugger(int(found[1])) as debugger:
            debugger.break_at(f"{folder}/run/exe/wd/script.py", 1)
            assert debugger.evaluate_where_it_stops("__import__('sys').argv[1]").endswith("INPUT_folder'")
        assert process.wait(60) == 4
    finally:
        process.kill()
        process.communicate()


def test_a_command_without_a_python_program_takes_no_debugger(server: RunningServer, failed: Job) -> None:
    done = lazulite(server, "job", "debug", failed.name, "--node", "first", "--debugpy")
    assert done.returncode == 1
    assert "runs no Python program itself: echo word" in done.stderr


def test_steps_of_nested_pipelines_and_of_several_processes(server: RunningServer, nested: Job) -> None:
    done = lazulite(
        server, "job", "debug", nested.name, "--node", "inner/ranks", "--", "echo rank $RANK of $WORLD_SIZE"
    )
    assert "rank 0 of 1" in done.stdout, done.stderr
    assert "the job has 2 processes; this is rank 0 by itself" in done.stderr
    missing = lazulite(server, "job", "debug", nested.name, "--node", "inner/nothing", "--", "ls").stderr
    assert "it has: before, ranks" in missing
    parent = lazulite(server, "job", "debug", nested.name, "--node", "inner", "--", "ls").stderr
    assert "its steps: before, ranks; failed: ranks" in parent


def test_a_trial_of_a_sweep(server: RunningServer, ml_client: MLClient, failed: Job) -> None:
    job = command(inputs={"x": 1}, command="echo trial ${{inputs.x}}", environment="bare:1", compute="serverless")(
        x=Choice([3, 4])
    )
    swept = job.sweep(sampling_algorithm="grid", primary_metric="m", goal="Maximize")
    swept.set_limits(max_total_trials=2, max_concurrent_trials=2)
    name = ended(ml_client, ml_client.jobs.create_or_update(swept).name).name
    for number in ("0", "1"):
        done = lazulite(server, "job", "debug", name, "--node", number, "--", "echo x=${{inputs.x}}")
        assert done.stdout in ("x=3\n", "x=4\n"), done.stderr
    assert "its steps: 0, 1" in lazulite(server, "job", "debug", name, "--", "ls").stderr


def test_rerun(server: RunningServer, ml_client: MLClient, failed: Job) -> None:
    done = lazulite(server, "job", "rerun", failed.name)
    assert done.returncode == 0, done.stderr
    again = ended(ml_client, done.stdout.strip())
    found = {child.display_name: child for child in ml_client.jobs.list(parent_job_name=again.name)}
    assert found["first"].properties["azureml.isreused"] == "true"
    assert found["use"].status == "Failed"


def test_rerun_from_a_step_of_a_nested_pipeline(server: RunningServer, ml_client: MLClient, nested: Job) -> None:
    for start, reused in (("inner/ranks", {"before"}), ("inner/before", set())):
        done = lazulite(server, "job", "rerun", nested.name, "--from", start)
        assert done.returncode == 0, done.stderr
        again = ended(ml_client, done.stdout.strip())
        inner = next(iter(ml_client.jobs.list(parent_job_name=again.name)))
        steps = {child.display_name: child for child in ml_client.jobs.list(parent_job_name=inner.name)}
        assert set(steps) == {"before", "ranks"}
        assert {name for name, step in steps.items() if "azureml.isreused" in step.properties} == reused
    unknown = lazulite(server, "job", "rerun", nested.name, "--from", "inner/nothing").stderr
    assert f"'{nested.name}/inner' has no node 'nothing'; it has before, ranks" in unknown
    assert "it has inner" in lazulite(server, "job", "rerun", nested.name, "--from", "ranks").stderr


class Shell:
    """`job debug` on a terminal."""

    def __init__(self, server: RunningServer, *arguments: str) -> None:
        self._arguments = command_line(server, "job", "debug", *arguments)
        self._said = ""

    def __enter__(self) -> "Shell":
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.execv(self._arguments[0], self._arguments)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._terminal)

    def type(self, line: str) -> None:
        self._said = ""
        os.write(self._terminal, line.encode() + b"\r")

    def until(self, text: str) -> str:
        deadline = time.monotonic() + 60
        while text not in self._said:
            assert time.monotonic() < deadline, self._said
            self._read()
        return self._said

    def ended(self) -> int:
        deadline = time.monotonic() + 60
        while (found := os.waitpid(self._pid, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline, self._said
            self._read()
        return os.waitstatus_to_exitcode(found[1])

    def _read(self) -> None:
        if select.select([self._terminal], [], [], 0.1)[0]:
            try:
                self._said += os.read(self._terminal, 65536).decode()
            except OSError:  # nobody holds the other end any more
                time.sleep(0.05)


class Debugger:
    """As much of the Debug Adapter Protocol as an editor needs to stop once."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sent = 0

    def __enter__(self) -> "Debugger":
        deadline = time.monotonic() + 60
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        self._file = self._socket.makefile("rb")
        self._ask("initialize", adapterID="debugpy", pathFormat="path", linesStartAt1=True)
        self._until(type="response", command="initialize")
        self._ask("attach", name="test", justMyCode=False)
        self._until(type="event", event="initialized")
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def break_at(self, path: str, line: int) -> None:
        self._ask("setBreakpoints", source={"path": path}, breakpoints=[{"line": line}])
        self._until(type="response", command="setBreakpoints")
        self._ask("configurationDone")

    def evaluate_where_it_stops(self, expression: str) -> str:
        stopped = self._until(type="event", event="stopped")["body"]
        assert stopped["reason"] == "breakpoint"
        self._ask("stackTrace", threadId=stopped["threadId"])
        frame = self._until(type="response", command="stackTrace")["body"]["stackFrames"][0]
        self._ask("evaluate", expression=expression, frameId=frame["id"])
        result = self._until(type="response", command="evaluate")["body"]["result"]
        self._ask("continue", threadId=stopped["threadId"])
        self._until(type="event", event="terminated")
        return str(result)

    def _ask(self, command_: str, **arguments: Any) -> None:
        self._sent += 1
        body = json.dumps({"seq": self._sent, "type": "request", "command": command_, "arguments": arguments}).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def _until(self, **wanted: str) -> dict[str, Any]:
        while True:
            length = 0
            while line := self._file.readline().strip():
                length = int(line.split(b":")[1])
            message: dict[str, Any] = json.loads(self._file.read(length))
            if wanted.items() <= message.items():
                assert message.get("success", True), message
                return message


def lazulite(server: RunningServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command_line(server, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


def command_line(server: RunningServer, *arguments: str) -> list[str]:
    verbs, rest = arguments[:2], arguments[2:]
    return [sys.executable, "-m", "lazulite.cli.main", *verbs, "--home", str(server.home), *rest]
