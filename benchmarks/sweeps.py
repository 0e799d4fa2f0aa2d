"""What a sweep costs beyond its trials: 1,000 trials that take no time, beside plain Optuna on SQLite.

`python -m benchmarks.sweeps [--trials N]`. The engine is the real one over a database on the disk; only the backend is
played, so that every millisecond is the scheduler's: drawing, the trial's job and run, places, states, metrics, the best.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

from lazulite.backends.fake import FakeBackend, FakeRun
from lazulite.engine import Engine
from lazulite.model.run_plan import RunOutcome, RunPhase
from lazulite.store import run_data, runs
from lazulite.testing.engine_world import WORKSPACE, EngineWorld, PlainTokens

SPACE = {"x": ["uniform", [-5, 5]], "y": ["loguniform", [-6, 0]], "kind": ["choice", [["a", "b", "c"]]]}
Row = dict[str, Any]


def main(argv: list[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    options = parser.parse_args(argv)
    rows: list[Row] = []
    for algorithm in ("Random", "Bayesian"):
        with tempfile.TemporaryDirectory(prefix="lazulite-bench-") as scratch:
            seconds = asyncio.run(sweep_seconds(Path(scratch), algorithm, options.trials))
            rows.append(_row(f"a trial of {options.trials} in a {algorithm.lower()} sweep", seconds / options.trials))
        with tempfile.TemporaryDirectory(prefix="lazulite-bench-") as scratch:
            seconds = optuna_seconds(Path(scratch), algorithm, options.trials)
            rows.append(
                _row(f"a trial of {options.trials} in Optuna on SQLite, {algorithm.lower()}", seconds / options.trials)
            )
    for row in rows:
        print(f"{row['what']:<60}{row['value']:>10} {row['unit']}")
    return rows


async def sweep_seconds(scratch: Path, algorithm: str, trials: int) -> float:
    """Seconds from the submission of a sweep until it is Completed."""
    world = EngineWorld(scratch, settings={"node_limit": 16})

    def at_once(run: FakeRun) -> None:
        world.database.write_sync(lambda c: _log(c, run.key.job))
        run.phase, run.outcome, run.alive, run.exit_code = RunPhase.DONE, RunOutcome.COMPLETED, False, 0
        run.times[run.phase.value] = max(run.times.values())

    engine = Engine(
        world.database,
        [_OffTheLoop(at_once)],
        world.settings,
        world.storage,
        PlainTokens(),
        environments=world.environments,
    )
    await engine.start()
    begun = time.perf_counter()
    world.submit(
        "sweep",
        jobType="Sweep",
        trial={"command": "train", "environmentId": f"{WORKSPACE}/environments/bare/versions/1"},
        searchSpace=SPACE,
        samplingAlgorithm={"samplingAlgorithmType": algorithm},
        objective={"goal": "minimize", "primaryMetric": "loss"},
        limits={"maxTotalTrials": trials, "maxConcurrentTrials": 16},
    )
    while not world.status("sweep").terminal:  # noqa: ASYNC110  as a client would
        await asyncio.sleep(0.05)
    seconds = time.perf_counter() - begun
    status = world.status("sweep")
    assert status.state == "Completed", status.error
    assert len(world.database.read_sync(lambda c: runs.children(c, WORKSPACE, "sweep"))) == trials
    await engine.stop()
    world.database.close()
    return seconds


def optuna_seconds(scratch: Path, algorithm: str, trials: int) -> float:
    """The same search by Optuna alone, its study in a SQLite file."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=1) if algorithm == "Random" else optuna.samplers.TPESampler(seed=1)

    def objective(trial: Any) -> float:
        x = trial.suggest_float("x", -5, 5)
        trial.suggest_float("y", 0.0025, 1, log=True)
        trial.suggest_categorical("kind", ["a", "b", "c"])
        return float((x - 2) ** 2)

    study = optuna.create_study(storage=f"sqlite:///{scratch / 'study.sqlite'}", sampler=sampler)
    begun = time.perf_counter()
    study.optimize(objective, n_trials=trials)
    return time.perf_counter() - begun


class _OffTheLoop(FakeBackend):
    """Plays its runs in a thread, as they write to the database."""

    async def inspect(self, handle: Any) -> Any:
        run = self.runs.get((handle["job"], handle["attempt"]))
        if run is not None and run.outcome is None and self._played is not None:
            await asyncio.to_thread(self._played, run)
        return await super().inspect(handle)

    async def start(self, run: Any, plan: Any, secrets: Any) -> Any:
        handle = await super().start(run, plan, secrets)
        self._tell(self.runs[run.job_key, run.attempt])
        return handle


def _log(c: Any, job: str) -> None:
    run = runs.get(c, WORKSPACE, job)
    assert run is not None
    x = float(runs.tags(c, WORKSPACE, [job])[job]["hyperparameters"].split('"x": ')[1].split(",")[0])
    run_data.log_points(c, run.number, run.experiment_number, [run_data.LoggedPoint("loss", (x - 2) ** 2, 1, 0)])


def _row(what: str, seconds: float) -> Row:
    return {"what": what, "value": f"{seconds * 1000:.1f}", "unit": "ms"}


if __name__ == "__main__":
    main()
