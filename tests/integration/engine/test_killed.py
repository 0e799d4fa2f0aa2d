"""The process that holds the engine is killed again and again while jobs are placed, started, running and finished."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from lazulite.model.job_status import JobState
from lazulite.testing.engine_world import EngineWorld

ENGINE = Path(__file__).with_name("killed_engine.py")
JOBS = [f"j{n}" for n in range(6)]


def test_killed_again_and_again_every_job_runs_once_and_completes(tmp_path: Path) -> None:
    dice = random.Random(1)
    world = EngineWorld(tmp_path)
    world.compute("c", most=2)
    marks = tmp_path / "marks"
    marks.mkdir()
    for number, job in enumerate(JOBS):
        command = f"echo run >> {marks}/{job}; sleep {0.2 + dice.random() / 2}"
        world.submit(job, command=command, **({"computeId": "c"} if number % 2 else {}))
    for _ in range(6):
        engine = subprocess.Popen([sys.executable, str(ENGINE), str(tmp_path)])
        time.sleep(0.5 + dice.random())  # the interpreter alone takes about half a second
        engine.kill()
        engine.wait()
    last = subprocess.run([sys.executable, str(ENGINE), str(tmp_path)], timeout=120, check=False)
    assert last.returncode == 0
    for job in JOBS:
        assert world.status(job).state is JobState.COMPLETED, world.status(job)
        assert (marks / job).read_text() == "run\n"
    # The last one may have ended between the end of a job and the removal of its folder: the next start removes it.
    subprocess.run([sys.executable, str(ENGINE), str(tmp_path)], timeout=120, check=True)
    assert not list((tmp_path / "runs").glob("*/*/*"))
    world.database.close()
