"""The driver and its workers as a job runs them: a copy of the package beside the code, in an interpreter of its own."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lazulite.node import parallel

SCRIPT = """
import os, sys, time
def init():
    print("init says", sys.argv[1:])
    if "--no-init" in sys.argv:
        raise RuntimeError("no model")
def run(batch):
    names = [os.path.basename(path) for path in batch]
    if "slow" in names:
        time.sleep(60)
    if "dies" in names:
        os._exit(3)
    if "crashes" in names:
        os.abort()
    if "bad" in names:
        raise ValueError("bad")
    if "nothing" in names:
        return None
    return [name for name in names if name != "dropped"]
def shutdown():
    print("shutdown says", file=sys.stderr)
"""


class Job:
    """A folder laid out as the agent does it."""

    def __init__(self, folder: Path) -> None:
        self.code = folder / "wd"
        self.data = folder / "in"
        self.out = folder / "out"
        for each in (self.code, self.data, self.out):
            each.mkdir()
        self.program = folder / "lazulite_parallel"
        shutil.copytree(Path(parallel.__file__).parent, self.program, ignore=shutil.ignore_patterns("__pycache__"))

    def run(
        self,
        *arguments: str,
        script: str = SCRIPT,
        stdin: int = subprocess.DEVNULL,
        program: Sequence[str] = ("../lazulite_parallel",),
        **settings: Any,
    ) -> subprocess.CompletedProcess[str]:
        (self.code / "score.py").write_text(script)
        given = {"entry_script": "score.py", "data": str(self.data), "append_to": str(self.out), "max_retries": 0}
        (self.program / "settings.json").write_text(json.dumps({**given, "timeout": 20, **settings}))
        command = [sys.executable, *program, *arguments]
        return subprocess.run(
            command, cwd=self.code, stdin=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    def files(self, *names: str) -> Job:
        for name in names:
            (self.data / name).parent.mkdir(parents=True, exist_ok=True)
            (self.data / name).touch()
        return self

    def appended(self) -> list[str]:
        return (self.out / "parallel_run_step.txt").read_text().splitlines()

    def log(self, name: str) -> str:
        return (self.code / "logs" / name).read_text()

    def report(self) -> list[dict[str, str]]:
        with (self.code / "logs/sys/job_report/processed_mini-batches.csv").open() as file:
            return list(csv.DictReader(file))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_results_stand_in_the_order_of_the_mini_batches(job: Job) -> None:
    together = """
import glob
alone = run
def run(batch):
    open(f"running-{os.getpid()}", "w").close()
    while len(glob.glob("running-*")) < 3:
        time.sleep(0.01)
    return alone(batch)
"""
    job.files("a", "b", "c", "d", "e")
    done = job.run("--mark", "m", script=SCRIPT + together, mini_batch_size=2, instances=3)
    assert done.returncode == 0, done.stderr
    assert job.appended() == ["a", "b", "c", "d", "e"]
    assert "processed 3/3 mini-batches, 0 failed, 0 remaining" in done.stdout
    for instance in range(3):
        assert "init says ['--mark', 'm']" in job.log(f"user/stdout/{instance}/process000.stdout.txt")
        assert "shutdown says" in job.log(f"user/stderr/{instance}/process000.stderr.txt")
    assert "result: completed\nmini-batches: 3\nprocessed: 3\n" in job.log("job_result.txt")
    assert "state: completed" in job.log("job_progress_overview.txt")
    assert sorted((row["mini-batch"], row["items"]) for row in job.report()) == [("0", "2"), ("1", "2"), ("2", "1")]


@pytest.mark.parametrize(
    ("name", "timeout", "why"),
    [
        ("bad", 20, "ValueError: bad"),
        ("dies", 20, "its worker process ended with exit code 3"),
        ("crashes", 20, "its worker process was ended by the signal SIGABRT"),
        ("slow", 0.5, r"run() took longer than 0.5 seconds (retry_settings.timeout)"),
        ("nothing", 20, "run() returned nothing (None), and must return"),
    ],
)
def test_a_mini_batch_that_fails_dies_hangs_or_gives_nothing_is_counted_and_the_rest_goes_on(
    job: Job, name: str, timeout: float, why: str
) -> None:
    done = job.files("a", name, "z").run(mini_batch_size=1, timeout=timeout, mini_batch_error_threshold=1)
    assert done.returncode == 0, done.stderr
    assert job.appended() == ["a", "z"]
    assert "processed 2/3 mini-batches, 1 failed" in done.stdout
    assert why in done.stderr
    assert why in job.log("user/error.txt")
    assert why in job.log("user/error/0/process000.txt")
    assert [row["status"] for row in job.report() if why in row["error"]] == ["failed"]


@pytest.mark.parametrize(("name", "timeout", "line"), [("slow", 0.5, 10), ("crashes", 20, 14), ("bad", 20, 16)])
def test_the_log_says_where_the_script_was_and_nothing_of_the_driver(
    job: Job, name: str, timeout: float, line: int
) -> None:
    error = job.files("a", name).run(mini_batch_size=1, timeout=timeout).stderr
    assert f'score.py", line {line}' in error
    assert "lazulite_parallel" not in error


def test_a_worker_that_dies_is_seen_at_once_also_where_what_it_forked_lives_on(job: Job) -> None:
    script = """
import os, signal, time
def init():
    if os.fork() == 0:
        time.sleep(60)
    os.system("sleep 60 &")
def run(files):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = job.files("a").run(script=script, append_to=None)
    assert "its worker process was ended by the signal SIGKILL (did memory run out?)" in done.stderr
    assert "processed 0/1 mini-batches, 1 failed" in done.stdout


@pytest.mark.parametrize(("appends", "code"), [(True, 1), (False, 0)])
def test_without_one_result_there_is_nothing_to_append(job: Job, appends: bool, code: int) -> None:
    done = job.files("dropped", "bad").run(mini_batch_size=1, append_to=str(job.out) if appends else None)
    assert done.returncode == code
    assert ("run() returned not one result, and append_row_to needs some" in done.stderr) == appends


def test_a_mini_batch_is_tried_again_as_often_as_said(job: Job) -> None:
    done = job.files("bad").run(max_retries=2, mini_batch_error_threshold=0)
    assert done.returncode == 1
    assert done.stderr.count("mini-batch 0 failed, try") == 3
    assert "The parallel job failed: 1 mini-batches failed, and mini_batch_error_threshold bears 0." in done.stderr
    assert [row["status"] for row in job.report()] == ["retried", "retried", "failed"]
    assert "result: failed: 1 mini-batches failed" in job.log("job_result.txt")


@pytest.mark.parametrize("appends", [True, False])
@pytest.mark.parametrize(("threshold", "code"), [(-1, 0), (1, 0), (0, 1)])
def test_items_without_a_result_count_for_the_error_threshold(
    job: Job, threshold: int, code: int, appends: bool
) -> None:
    target = str(job.out) if appends else None
    assert job.files("a", "dropped").run(append_to=target, error_threshold=threshold).returncode == code
    assert (job.out / "parallel_run_step.txt").exists() == appends


@pytest.mark.parametrize(("percent", "code"), [("50", 0), ("49", 1)])
def test_thresholds_stand_among_the_arguments_too(job: Job, percent: str, code: int) -> None:
    done = job.files("a", "bad").run(f"--allowed_failed_percent={percent}", mini_batch_size=1)
    assert done.returncode == code
    assert ("50 percent of the mini-batches failed, and allowed_failed_percent bears 49" in done.stderr) == bool(code)


def test_an_init_that_fails_fails_the_job_at_once(job: Job) -> None:
    done = job.files("a", "b").run("--no-init", mini_batch_size=1, mini_batch_error_threshold=-1)
    assert done.returncode == 1
    assert "RuntimeError: no model" in done.stderr
    assert "the entry script could not be loaded, or its init() failed" in done.stderr


def test_an_init_that_hangs_fails_the_job(job: Job) -> None:
    done = job.files("a").run(
        "--first_task_creation_timeout", "0.3", script="import time\ndef init(): time.sleep(60)\ndef run(b): return b"
    )
    assert done.returncode == 1
    assert "init() of the entry script took longer than 0.3 seconds" in done.stderr


def test_a_job_without_progress_is_ended(job: Job) -> None:
    done = job.files("slow").run("--progress_update_timeout", "0.3", timeout=5.2)
    assert done.returncode == 1
    assert "no mini-batch ended for" in done.stderr


def test_the_context_holds_number_and_keys(job: Job) -> None:
    script = "def run(batch, context):\n    return [(context.minibatch_index, context.partition_key_value, len(batch))]"
    job.files("year=2023/a", "year=2024/a", "year=2024/b")
    done = job.run(script=script, partition_keys=["year"])
    assert done.returncode == 0, done.stderr
    assert job.appended() == ["(0, {'year': '2023'}, 1)", "(1, {'year': '2024'}, 2)"]


def test_workers_are_given_the_gpus_one_after_the_other(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    script = """
import glob, os, time
def run(files):
    print("sees", os.environ["CUDA_VISIBLE_DEVICES"])
    open(f"running-{os.getpid()}", "w").close()
    while len(glob.glob("running-*")) < 4:
        time.sleep(0.01)
    return files
"""
    job.files(*"abcd").run(script=script, mini_batch_size=1, instances=2, workers_per_instance=2)
    logs = [f"user/stdout/{instance}/process00{number}.stdout.txt" for instance in (0, 1) for number in (0, 1)]
    assert [job.log(name) for name in logs] == [f"sees {device}\n" for device in (4, 5, 6, 7)]


def test_modules_of_the_user_win_over_those_of_the_driver(job: Job) -> None:
    (job.code / "batches.py").write_text("mine = 1")
    (job.code / "settings.py").write_text("mine = 2")
    script = "import batches, settings\ndef run(files): return [batches.mine, settings.mine]"
    assert job.files("a").run(script=script).returncode == 0
    assert job.appended() == ["1", "2"]


def test_the_entry_script_class_of_azure_gives_a_logger(job: Job) -> None:
    script = """
import logging, os
from azureml_user.parallel_run import EntryScript
def run(files):
    script = EntryScript()
    script.logger.info("seen %s", len(files))
    logging.info("by the root logger")
    print(os.path.relpath(script.log_dir), script.agent_name)
    return files
"""
    assert job.files("a", "b").run(script=script).returncode == 0
    printed = job.log("user/stdout/0/process000.stdout.txt")
    assert "|root|INFO|" in printed
    assert "logs/user/entry_script_log/0 process000" in printed
    assert "|INFO|" in job.log("user/entry_script_log/0/process000.log.txt")
    assert "seen 2" in job.log("user/entry_script_log/0/process000.log.txt")


def test_rows_of_a_table_come_as_a_dataframe(job: Job) -> None:
    (job.data / "MLTable").write_text("paths:\n  - file: ./t.csv\ntransformations:\n  - read_delimited\n")
    (job.data / "t.csv").write_text("x,y\n" + "".join(f"{n},{n * n}\n" for n in range(100)))
    script = "def run(frame):\n    frame['z'] = frame.x + frame.y\n    return frame"
    done = job.run(script=script, is_table=True, mini_batch_size=100, error_threshold=0, workers_per_instance=2)
    assert done.returncode == 0, done.stderr
    assert job.appended() == [f"{n} {n * n} {n + n * n}" for n in range(100)]
    assert len(job.report()) > 3
    assert sum(int(row["items"]) for row in job.report()) == 100


def test_rows_that_cannot_be_read_count_for_the_error_threshold(job: Job) -> None:
    (job.data / "MLTable").write_text("paths:\n  - pattern: ./*.csv\ntransformations:\n  - read_delimited\n")
    (job.data / "a.csv").write_text("x,y\n1,2\n")
    (job.data / "b.csv").write_text('x,y\n1,"2\n')
    script = "def run(frame):\n    return frame"
    done = job.run(script=script, is_table=True, mini_batch_size=1, error_threshold=0)
    assert done.returncode == 1
    assert "The parallel job failed: 1 items failed, and error_threshold bears 0." in done.stderr
    assert job.run(script=script, is_table=True, mini_batch_size=1, error_threshold=1).returncode == 0


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "there are no mini-batches to run"),
        ({"is_table": True}, "there is no file 'MLTable' in it"),
        ({"data": "nowhere"}, "There is nothing at the input's path nowhere"),
    ],
)
def test_an_input_without_anything_in_it_fails_the_job(job: Job, settings: dict[str, Any], why: str) -> None:
    done = job.run(**settings)
    assert done.returncode == 1
    assert why in done.stderr


def test_a_package_that_is_not_there_is_named(job: Job) -> None:
    (job.data / "MLTable").write_text("paths:\n  - file: ./t.csv\ntransformations:\n  - read_delimited\n")
    (job.data / "t.csv").write_text("x\n1\n")
    (job.program / "yaml.py").write_text("raise ImportError")
    (job.program.parent / "yaml.py").write_text("raise ImportError")
    done = job.run(is_table=True)
    assert done.returncode == 1
    assert "ModuleNotFoundError: No module named 'yaml' (package pyyaml" in done.stderr


def test_at_a_terminal_everything_is_done_in_one_process(job: Job) -> None:
    script = "import os\ndef run(files): return [(os.getpid(), os.path.basename(name)) for name in files]"
    terminal, other = os.openpty()
    try:
        done = job.files("a", "b").run(script=script, mini_batch_size=1, workers_per_instance=2, stdin=other)
    finally:
        os.close(terminal)
        os.close(other)
    assert done.returncode == 0, done.stderr
    assert "2 mini-batches, one after the other here" in done.stdout
    pids, names = zip(*[row.strip("()").split(", ") for row in job.appended()], strict=True)
    assert names == ("'a'", "'b'")
    assert len(set(pids)) == 1


def test_a_debugger_sees_the_error_where_it_is_raised(job: Job) -> None:
    traced = (
        "import runpy, sys; sys.settrace(lambda *_: None); runpy.run_path('../lazulite_parallel', None, '__main__')"
    )
    done = job.files("bad").run(program=["-c", traced])
    assert done.returncode == 1
    assert "mini-batch 0 failed" not in done.stderr
    assert done.stderr.rstrip().endswith("ValueError: bad")
