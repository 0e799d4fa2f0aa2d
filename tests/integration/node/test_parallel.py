"""A parallel job's driver as the agent lays it out, in each isolation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lazulite.model.run_plan import Code, DataKind, Input, Isolation, Output, Parallel

from .conftest import AgentRun, until

SCRIPT = """
import os, sys
def run(files):
    return [f"{sys.argv[1]} {os.path.basename(name)} {open(name).read()}" for name in files]
"""


def parallel(tmp_path: Path, script: str = SCRIPT, **settings: Any) -> dict[str, Any]:
    """The part of a plan that makes it a parallel job over three files."""
    for name in ("code", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "code" / "score.py").write_text(script)
    for number in range(3):
        (tmp_path / "data" / f"{number}.txt").write_text(str(number))
    return {
        "code": Code(path=str(tmp_path / "code")),
        "inputs": {"data": Input(kind=DataKind.PATH, path=str(tmp_path / "data"))},
        "outputs": {"rows": Output(type="uri_file", path=str(tmp_path / "kept" / "rows.csv"))},
        "parallel": Parallel(
            **{"entry_script": "score.py", "input": "data", "append_to": "rows", "mini_batch_size": 1, **settings}
        ),
    }


def test_results_and_logs_come_home(a_run: Callable[..., AgentRun], isolation: Isolation, tmp_path: Path) -> None:
    run = a_run("python ../lazulite_parallel it", isolation=isolation, **parallel(tmp_path, instances=2)).start()
    assert run.wait()["outcome"] == "completed", run.log()
    assert (tmp_path / "kept" / "rows.csv").read_text() == "it 0.txt 0\nit 1.txt 1\nit 2.txt 2\n"
    assert "processed 3/3 mini-batches" in run.log()
    assert "result: completed" in run.log("logs/job_result.txt")


def test_a_job_that_is_canceled_leaves_no_worker(a_run: Callable[..., AgentRun], tmp_path: Path) -> None:
    script = "import time\ndef run(files):\n    open('logs/here', 'w').write('x')\n    time.sleep(120)"
    run = a_run("python ../lazulite_parallel", **parallel(tmp_path, script, timeout=100)).start()
    until(lambda: (run.folder / "exe" / "wd" / "logs" / "here").exists())
    (run.folder / "cancel").touch()
    assert run.wait()["outcome"] == "canceled"
    workers = f"{run.folder}/exe/lazulite_parallel/__main__.py"
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if workers in said(path)]


def said(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
