"""Jobs run for real: the engine, the local backend, the agent and a process."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from lazulite.backends.local import LocalBackend
from lazulite.core.clock import utc_now
from lazulite.engine import Engine
from lazulite.model.job_status import JobState, JobStatus
from lazulite.testing.engine_world import WORKSPACE, BareEnvironments, EngineWorld, PlainTokens


class LocalWorld(EngineWorld):
    """The same world in real time, on this machine."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, backend=LocalBackend(root / "runs"))
        self.environments = BareEnvironments(sys.executable)
        self.engine = self.real_engine()

    def real_engine(self) -> Engine:
        return Engine(
            self.database,
            [LocalBackend(self.root / "runs")],
            self.settings,
            self.storage,
            PlainTokens(),
            utc_now,
            environments=self.environments,
            sweep_s=1.0,
        )

    async def until(self, job: str, reached: Callable[[JobStatus], bool], limit_s: float = 30.0) -> JobStatus:
        end = time.monotonic() + limit_s
        while not reached(status := self.status(job)):
            assert time.monotonic() < end, status
            assert not status.terminal, status.error
            await asyncio.sleep(0.02)
        return status

    async def until_true(self, reached: Callable[[], object], limit_s: float = 20.0) -> None:
        end = time.monotonic() + limit_s
        while not reached():
            assert time.monotonic() < end
            await asyncio.sleep(0.02)

    def log(self, job: str) -> str:
        path = self.artifacts(job) / "user_logs" / "std_log.txt"
        return path.read_text() if path.exists() else ""

    def artifacts(self, job: str) -> Path:
        return self.root / "storage" / "acct" / "azureml" / "ExperimentRun" / f"dcid.{job}"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LocalWorld]:
    made = LocalWorld(tmp_path)
    await made.engine.start()
    yield made
    await made.close()


async def test_hello_world(world: LocalWorld) -> None:
    world.submit("hello", command="echo hello $AZUREML_RUN_ID; mkdir -p outputs; echo x > outputs/x.txt")
    status = await world.until("hello", lambda s: s.terminal)
    assert status.state is JobState.COMPLETED, status.error
    assert [passage.state.value for passage in status.states][:2] == ["Queued", "Preparing"]
    assert "hello hello" in world.log("hello")
    assert (world.artifacts("hello") / "outputs" / "x.txt").read_text() == "x\n"
    await world.until_true(lambda: not list((world.root / "runs").glob("*/hello")))


async def test_a_failing_command(world: LocalWorld) -> None:
    world.submit("bad", command="echo before; exit 3")
    status = await world.until("bad", lambda s: s.terminal)
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)
    assert status.error is not None
    assert "3" in status.error.message


async def test_inputs_and_outputs(world: LocalWorld) -> None:
    source = world.root / "storage/acct/blobs/in/table.csv"
    source.parent.mkdir(parents=True)
    source.write_text("a,b\n")
    world.submit(
        "io",
        command="cat ${{inputs.table}} > ${{outputs.copy}}/copy.csv; echo n=${{inputs.n}} $[[--x ${{inputs.x}}]]",
        inputs={
            "table": {"jobInputType": "uri_file", "uri": "azureml://datastores/workspaceblobstore/paths/in/table.csv"},
            "n": {"jobInputType": "literal", "value": "3"},
        },
        outputs={"copy": {"jobOutputType": "uri_folder"}},
    )
    status = await world.until("io", lambda s: s.terminal)
    assert status.state is JobState.COMPLETED, status.error
    assert (world.root / "storage/acct/blobs/azureml/io/copy/copy.csv").read_text() == "a,b\n"
    assert "n=3" in world.log("io")
    assert "--x" not in world.log("io")


async def test_cancel(world: LocalWorld) -> None:
    world.submit("long", command="echo begun; sleep 300")
    await world.until("long", lambda s: s.state is JobState.RUNNING)
    world.cancel("long")
    status = await world.until("long", lambda s: s.terminal)
    assert status.state is JobState.CANCELED
    assert JobState.CANCEL_REQUESTED in [passage.state for passage in status.states]


async def test_a_new_engine_attaches_to_a_running_job(world: LocalWorld) -> None:
    go_on = world.root / "go-on"
    world.submit("long", command=f"echo begun; while [ ! -e {go_on} ]; do sleep 0.05; done; echo ended")
    await world.until("long", lambda s: s.state is JobState.RUNNING)
    await world.engine.stop()
    world.engine = world.real_engine()
    await world.engine.start()
    assert world.status("long").state is JobState.RUNNING
    go_on.touch()
    status = await world.until("long", lambda s: s.terminal)
    assert status.state is JobState.COMPLETED
    assert world.log("long").count("begun") == 1


async def test_a_job_that_ended_while_no_engine_ran_is_finished_by_the_next(world: LocalWorld) -> None:
    world.submit("short", command="sleep 0.5; echo ended")
    await world.until("short", lambda s: s.handle is not None)
    await world.engine.stop()
    await world.until_true(lambda: "ended" in world.log("short"))
    world.engine = world.real_engine()
    await world.engine.start()
    assert (await world.until("short", lambda s: s.terminal)).state is JobState.COMPLETED
    assert world.log("short").count("ended") == 1


async def test_a_killed_agent_is_noticed(world: LocalWorld) -> None:
    import json
    import os
    import signal

    world.submit("long", command="echo begun; sleep 300")
    status = await world.until("long", lambda s: s.state is JobState.RUNNING)
    assert status.handle is not None
    document = json.loads((world.root / "runs" / status.handle["folder"] / "status.json").read_bytes())
    os.kill(document["pid"], signal.SIGKILL)
    ended = await world.until("long", lambda s: s.terminal)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert ended.error.code == "AgentLost"


async def test_a_cluster_job_frees_its_node(world: LocalWorld) -> None:
    world.compute("c", most=2)
    world.submit("a", computeId="c", command="echo a")
    await world.until("a", lambda s: s.terminal)
    await world.until_true(lambda: world.nodes("c") == [("idle", None)])
    assert world.get(f"{WORKSPACE}/computes/c").status["currentNodeCount"] == 1
