from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lazulite.node import parallel
from lazulite.node.parallel import files_below, rows_of

SCRIPT = """
import os, sys, time
def init():
    open("log", "a").write(f"init {sys.argv[1:]}\\n")
def run(batch):
    names = [os.path.basename(path) for path in batch]
    if "slow" in names:
        time.sleep(60)
    if "dies" in names:
        os._exit(3)
    if "bad" in names:
        raise ValueError("bad")
    return [name for name in names if name != "dropped"]
def shutdown():
    open("log", "a").write("shutdown\\n")
"""


def run(folder: Path, names: list[str], **settings: Any) -> subprocess.CompletedProcess[str]:
    """As a job runs it: the program as a text, in an interpreter of its own."""
    (folder / "in").mkdir()
    for name in names:
        (folder / "in" / name).touch()
    (folder / "out").mkdir()
    (folder / "score.py").write_text(SCRIPT)
    given = {"entry_script": "score.py", "mini_batch_size": 2, "max_retries": 0, "timeout": 20, **settings}
    program = Path(parallel.__file__).read_text()
    return subprocess.run(
        [sys.executable, "-c", "import os; exec(os.environ['P'])", "in", "out", "--mark", "m"],
        cwd=folder,
        env={**os.environ, "P": program, "LAZULITE_PARALLEL": json.dumps(given)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_results_stand_in_the_order_of_the_mini_batches(tmp_path: Path) -> None:
    done = run(tmp_path, ["a", "b", "c", "d", "e"], workers=3, append_row=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "parallel_run_step.txt").read_text().split() == ["a", "b", "c", "d", "e"]
    log = (tmp_path / "log").read_text().splitlines()
    assert log.count("init ['--mark', 'm']") == log.count("shutdown") == 3
    assert "3 mini-batches done, 0 failed" in done.stdout


@pytest.mark.parametrize(("name", "timeout"), [("bad", 20), ("dies", 20), ("slow", 0.5)])
def test_a_mini_batch_that_fails_dies_or_hangs_is_counted_and_the_rest_goes_on(
    tmp_path: Path, name: str, timeout: float
) -> None:
    done = run(tmp_path, ["a", name, "z"], mini_batch_size=1, timeout=timeout, mini_batch_error_threshold=1)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "parallel_run_step.txt").read_text().split() == ["a", "z"]
    assert "2 mini-batches done, 1 failed, 1 items failed" in done.stdout


def test_a_mini_batch_is_tried_again_as_often_as_said(tmp_path: Path) -> None:
    done = run(tmp_path, ["bad"], max_retries=2, mini_batch_error_threshold=0)
    assert done.returncode == 1
    assert done.stderr.count("mini-batch 0 failed") == 3
    assert "More failed than the error thresholds bear." in done.stderr


@pytest.mark.parametrize(("threshold", "code"), [(-1, 0), (1, 0), (0, 1)])
def test_items_without_a_result_count_for_the_error_threshold(tmp_path: Path, threshold: int, code: int) -> None:
    assert run(tmp_path, ["a", "dropped"], append_row=True, error_threshold=threshold).returncode == code


def test_files_of_a_folder_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2", "b/1", "a"):
        (tmp_path / name).touch()
    assert files_below(str(tmp_path)) == [str(tmp_path / name) for name in ("a", "b/1", "b/2")]
    assert files_below(str(tmp_path / "a")) == [str(tmp_path / "a")]


def test_rows_of_lists_tables_and_nothing() -> None:
    import pandas as pd

    assert rows_of(["a", 1]) == ["a", "1"]
    assert rows_of(None) == []
    assert rows_of(pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})) == ["1 a", "2 b"]
