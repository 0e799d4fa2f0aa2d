"""Control outputs: read when a step has ended, checked against their types, kept in its status."""

from __future__ import annotations

import pytest

from lazulite.engine.jobs import controls
from lazulite.model.job_status import JobState
from lazulite.testing.engine_world import ACCOUNT, EngineWorld


async def ended(world: EngineWorld, kind: str, written: str | None, properties: dict[str, str] | None = None) -> None:
    job = world.submit("j", outputs={"out": {"jobOutputType": "uri_file"}}, properties=properties or {})
    world.change(job.id, controls={"out": kind})
    await world.settle()
    path = world.storage.root / ACCOUNT / "blobs/azureml/j/out"
    path.parent.mkdir(parents=True, exist_ok=True)
    if written is not None:
        path.write_text(written)
    world.fake.finish("j")
    await world.settle()


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("boolean", "True\n", "True"),
        ("integer", " 7 ", "7"),
        ("number", "1e-3", "1e-3"),
        ("string", "two\nlines\n", "two\nlines"),
        ("string", "", ""),
    ],
)
async def test_values_are_read(world: EngineWorld, kind: str, written: str, value: str) -> None:
    await ended(world, kind, written)
    status = world.status("j")
    assert (status.state, status.outputs["out"].value) == (JobState.COMPLETED, value)


@pytest.mark.parametrize(
    ("kind", "written", "code", "message"),
    [
        ("boolean", None, "ControlOutputMissing", "no value for its control output 'out'"),
        ("boolean", "maybe", "ControlOutputInvalid", "'out' of the step 'j' is 'maybe' and must be true or false"),
        ("integer", "1.5", "ControlOutputInvalid", "must be a whole number"),
        ("number", "", "ControlOutputInvalid", "must be a number"),
        ("string", "x" * (controls.MAX_BYTES + 1), "ControlOutputTooLong", "longer than 65536 bytes"),
    ],
)
async def test_a_step_without_a_proper_value_fails(
    world: EngineWorld, kind: str, written: str | None, code: str, message: str
) -> None:
    await ended(world, kind, written)
    status = world.status("j")
    assert status.state is JobState.FAILED
    assert status.error is not None
    assert status.error.code == code
    assert message in status.error.message
    assert world.run("j").status == "FAILED"


async def test_what_the_run_says_counts_before_the_file(world: EngineWorld) -> None:
    await ended(world, "boolean", "nonsense", {"azureml.pipeline.control": '{"out": true}'})
    assert world.status("j").outputs["out"].value == "True"


async def test_what_was_ready_early(world: EngineWorld) -> None:
    await ended(world, "integer", None, {"azureml.pipeline.control.out": "3"})
    assert world.status("j").outputs["out"].value == "3"


async def test_a_failed_step_is_not_asked(world: EngineWorld) -> None:
    job = world.submit("j", outputs={"out": {"jobOutputType": "uri_file"}})
    world.change(job.id, controls={"out": "boolean"})
    await world.settle()
    world.fake.finish("j", exit_code=2, message="exit code 2")
    await world.settle()
    assert world.status("j").error.message == "exit code 2"  # type: ignore[union-attr]


async def test_storage_without_folders(world: EngineWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.submit("j", outputs={"out": {"jobOutputType": "uri_file"}})
    world.change(job.id, controls={"out": "boolean"})
    await world.settle()
    monkeypatch.setattr(world.storage, "local_path", lambda *where: None)
    world.fake.finish("j")
    await world.settle()
    assert "only plain folders can be read" in world.status("j").error.message  # type: ignore[union-attr]
