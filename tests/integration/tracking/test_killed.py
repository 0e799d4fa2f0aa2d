"""A server killed while many clients log: what it acknowledged is there afterwards, and nothing is there by half."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server_fixture import WORKSPACE_ID, RunningServer

SEED = 20
WORKERS = 8
STEPS, TEXTS = 40, 5
MODELS = ("first", "second")


@pytest.fixture
def mortal(tmp_path: Path, database_url: str) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path / "home", {"database_url": database_url})
    running.home.mkdir()
    running.start()
    yield running
    running.stop()


class Api:
    """One client's connection to the tracking API; whatever goes wrong on the way is an httpx error."""

    def __init__(self, server: RunningServer) -> None:
        self._http = httpx.Client(
            base_url=f"{server.http_url}/mlflow/rest{WORKSPACE_ID}/api/2.0/",
            headers={"Authorization": f"Bearer {server.token('https://ml.azure.com')}"},
            timeout=30,
        )

    def post(self, path: str, **body: Any) -> Any:
        return self._http.post(f"mlflow/{path}", json=body).raise_for_status().json()

    def get(self, path: str, **query: Any) -> Any:
        return self._http.get(f"mlflow/{path}", params=query).raise_for_status().json()

    def upload(self, path: str, data: bytes) -> None:
        self._http.put(f"mlflow-artifacts/artifacts/{path}", content=data).raise_for_status()

    def download(self, path: str) -> bytes | None:
        answer = self._http.get(f"mlflow-artifacts/artifacts/{path}")
        return None if answer.status_code == 404 else answer.raise_for_status().content


@dataclass
class Acknowledged:
    """What the server said yes to, each with what proves it."""

    runs: set[str] = field(default_factory=set)
    batches: set[tuple[str, int]] = field(default_factory=set)
    tags: dict[tuple[str, str], str] = field(default_factory=dict)
    versions: dict[tuple[str, str], str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    #: Under way when the server was killed: there or not, but whole.
    unanswered: dict[str, bytes] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return sum(len(part) for part in vars(self).values())


@pytest.mark.timeout(120)
def test_what_was_acknowledged_outlives_kills(mortal: RunningServer) -> None:
    known = Acknowledged()
    experiment = Api(mortal).post("experiments/create", name="mortal")["experiment_id"]
    for model in MODELS:
        Api(mortal).post("registered-models/create", name=model)
    pause = random.Random(SEED)
    for round_ in range(2):
        before = len(known)
        workers = [
            threading.Thread(target=work, args=(Api(mortal), experiment, known, f"{round_}-{n}"))
            for n in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        wait_for(lambda least=before + 60: len(known) >= least)
        time.sleep(pause.uniform(0, 0.5))
        mortal.kill()
        for worker in workers:
            worker.join()
        mortal.start(same_ports=True)
        check(Api(mortal), experiment, known)


def work(api: Api, experiment: str, known: Acknowledged, worker: str) -> None:
    """Log until the server is gone."""
    chance = random.Random(f"{SEED}-{worker}")
    run, sent = "", known.unanswered
    for number in range(100_000):
        try:
            what = chance.choice(("run", "batch", "batch", "tag", "version", "file", "end")) if run else "run"
            if what == "run":
                tags = [{"key": f"made{n}", "value": worker} for n in range(TEXTS)]
                made = api.post("runs/create", experiment_id=experiment, start_time=1, tags=tags)
                run = made["run"]["info"]["run_id"]
                known.runs.add(run)
            elif what == "batch":
                api.post("runs/log-batch", run_id=run, **batch(number))
                known.batches.add((run, number))
            elif what == "tag":
                known.tags.pop((run, "over"), None)  # while it is under way, either value may stand
                api.post("runs/set-tag", run_id=run, key="over", value=str(number))
                known.tags[run, "over"] = str(number)
            elif what == "version":
                model = chance.choice(MODELS)
                made = api.post("model-versions/create", name=model, source=f"runs:/{run}/m", run_id=run)
                known.versions[model, made["model_version"]["version"]] = run
            elif what == "file":
                path, data = f"{experiment}/{run}/artifacts/{number}.bin", chance.randbytes(20_000)
                sent[path] = data
                api.upload(path, data)
                known.files[path] = sent.pop(path)
            else:
                api.post("runs/update", run_id=run, status="FINISHED", end_time=number)
                known.ended.add(run)
        except httpx.TransportError:
            return


def batch(number: int) -> dict[str, Any]:
    points = [{"key": f"m{number}", "value": step, "timestamp": 1, "step": step} for step in range(STEPS)]
    texts = [{"key": f"b{number}_{n}", "value": "x"} for n in range(TEXTS)]
    return {"metrics": points, "params": texts, "tags": texts}


def check(api: Api, experiment: str, known: Acknowledged) -> None:
    runs = {run["info"]["run_id"]: run for run in all_runs(api, experiment)}
    assert known.runs <= set(runs)
    batches: set[tuple[str, int]] = set()
    for run_id, run in runs.items():
        tags, params = texts(run, "tags"), texts(run, "params")
        assert sum(key.startswith("made") for key in tags) == TEXTS, "a run without all of its tags"
        metrics = {metric["key"]: metric for metric in run["data"].get("metrics", ())}
        numbers = {int(key[1:]) for key in metrics} | {int(key[1:].split("_")[0]) for key in params}
        for number in numbers:
            assert metrics[f"m{number}"]["step"] == STEPS - 1
            assert len([k for k in tags if k.startswith(f"b{number}_")]) == TEXTS, "a batch without all of its tags"
            assert len([k for k in params if k.startswith(f"b{number}_")]) == TEXTS, "a batch without all of its params"
            batches.add((run_id, number))
        if run_id in known.ended:
            assert run["info"]["status"] == "FINISHED"
    assert known.batches <= batches
    for run_id, number in batches:
        history = api.get("metrics/get-history", run_id=run_id, metric_key=f"m{number}")["metrics"]
        assert [point["step"] for point in history] == list(range(STEPS))
    for (run_id, key), value in known.tags.items():
        assert texts(runs[run_id], "tags")[key] == value
    check_models(api, known)
    for path, data in known.files.items():
        assert api.download(path) == data, path
    for path, data in known.unanswered.items():
        assert api.download(path) in (None, data), path


def check_models(api: Api, known: Acknowledged) -> None:
    for model in MODELS:
        found = api.get("model-versions/search", filter=f"name='{model}'", max_results=1000)["model_versions"]
        versions = {one["version"]: one["run_id"] for one in found}
        assert sorted(versions, key=int) == [str(n + 1) for n in range(len(versions))]
        mine = {version: run for (name, version), run in known.versions.items() if name == model}
        assert mine.items() <= versions.items()


def all_runs(api: Api, experiment: str) -> Iterator[Any]:
    token: str | None = ""
    while token is not None:
        page = api.post("runs/search", experiment_ids=[experiment], max_results=200, page_token=token)
        yield from page.get("runs", ())
        token = page.get("next_page_token")


def texts(run: Any, kind: str) -> dict[str, str]:
    return {item["key"]: item["value"] for item in run["data"].get(kind, ())}


def wait_for(done: Any) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)
