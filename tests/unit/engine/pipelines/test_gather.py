"""The outputs of a loop over items, put together."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path
from typing import Any

import pytest

from lazulite.core.clock import iso
from lazulite.core.errors import ApiError
from lazulite.core.paths import UnsafePath
from lazulite.engine.pipelines import gather, reuse
from lazulite.model import job_status
from lazulite.model.job_status import JobOutput, JobState, JobStatus
from lazulite.store.resources import Resource
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, EngineWorld

STORE = "azureml://datastores/workspaceblobstore/paths"


def step(world: EngineWorld, name: str, output: JobOutput, ended: float = 0) -> Resource:
    at = iso(dt.datetime.fromtimestamp(ended, dt.UTC))
    status = JobStatus(state=JobState.COMPLETED, outputs={"out": output}, end_time=at)
    return world.submit(name).with_(status=job_status.document(status))


def gathered(world: EngineWorld, kind: str, rows: list[Resource], uri: str | None = None) -> JobOutput:
    sent: dict[str, Any] = {"type": "parallel_for", "outputs": {"out": {"value": "${{parent.outputs.all}}"}}}
    outputs = {"all": {"jobOutputType": "mltable", **({"uri": uri} if uri else {})}}
    pipeline = world.submit("p", jobType="Pipeline", jobs={"every": sent}, outputs=outputs)
    spec = {"outputs": {"out": {"type": kind}}}
    return world.database.read_sync(lambda c: gather.output(c, world.storage, pipeline, "every", "out", rows, spec))


@pytest.mark.parametrize(
    ("kind", "texts", "value"),
    [
        ("integer", ["1", "2.0"], "[1, 2]"),
        ("number", ["1e3"], "[1000.0]"),
        ("boolean", ["True", "false"], "[true, false]"),
        ("string", ["a", ""], '["a", ""]'),
        ("string", [], "[]"),
    ],
)
def test_values_become_a_list(world: EngineWorld, kind: str, texts: list[str], value: str) -> None:
    rows = [step(world, f"s{n}", JobOutput("", "uri_file", value=text)) for n, text in enumerate(texts)]
    assert gathered(world, kind, rows).value == value


def test_folders_are_linked_and_listed(world: EngineWorld) -> None:
    rows = []
    for name in ("a", "b"):
        folder = world.storage.root / ACCOUNT / "blobs" / name / "deep"
        folder.mkdir(parents=True)
        (folder / "x.txt").write_text(name)
        rows.append(step(world, name, JobOutput(f"{STORE}/{name}/", "uri_folder")))
    found = gathered(world, "uri_folder", rows, f"{STORE}/chosen/")
    assert (found.type, found.uri.rpartition("/paths/")[2]) == ("mltable", "chosen/")
    table = world.storage.root / ACCOUNT / "blobs" / "chosen"
    assert (table / "MLTable").read_text() == "type: mltable\npaths:\n- folder: ./0\n- folder: ./1\n"
    assert (table / "1/deep/x.txt").samefile(world.storage.root / ACCOUNT / "blobs/b/deep/x.txt")


def test_files_keep_their_names(world: EngineWorld) -> None:
    place = world.storage.root / ACCOUNT / "blobs"
    place.mkdir(parents=True)
    (place / "one.csv").write_text("1")
    gathered(world, "uri_file", [step(world, "s", JobOutput(f"{STORE}/one.csv", "uri_file"))])
    assert '- file: "./0/one.csv"' in (place / "azureml/p/every.out/MLTable").read_text()
    assert (place / "azureml/p/every.out/0/one.csv").read_text() == "1"


def test_links_of_jobs_are_not_followed(world: EngineWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = world.storage.root / ACCOUNT / "blobs"
    (blobs / "a").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (blobs / "a/kept").write_text("kept")
    (blobs / "a/link").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(os, "link", lambda *a, **k: (_ for _ in ()).throw(OSError()))  # as between file systems
    gathered(world, "uri_folder", [step(world, "a", JobOutput(f"{STORE}/a/", "uri_folder"))], f"{STORE}/chosen/")
    assert [file.name for file in (blobs / "chosen/0").iterdir()] == ["kept"]


@pytest.mark.parametrize("planted", ["0", "0/deep"])
def test_nothing_is_written_through_a_link_where_outputs_are_gathered(
    world: EngineWorld, tmp_path: Path, planted: str
) -> None:
    blobs, outside = world.storage.root / ACCOUNT / "blobs", tmp_path / "outside"
    (blobs / "a/deep").mkdir(parents=True)
    (blobs / "a/deep/x.txt").write_text("x")
    outside.mkdir()
    link = blobs / "chosen" / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    with pytest.raises(UnsafePath, match="is a symbolic link"):
        gathered(world, "uri_folder", [step(world, "a", JobOutput(f"{STORE}/a/", "uri_folder"))], f"{STORE}/chosen/")
    assert not list(outside.iterdir())


def test_a_step_that_was_gathered_is_still_as_it_left_its_file(world: EngineWorld) -> None:
    file = world.storage.local_path(ACCOUNT, "blobs", "one.csv")
    assert file is not None
    file.write_text("1")
    now = time.time()
    row = step(world, "s", JobOutput(f"{STORE}/one.csv", "uri_file"), ended=now - 100)
    gathered(world, "uri_file", [row])

    def whole(changed: float) -> bool:
        os.utime(file, (changed, changed))
        return world.database.read_sync(lambda c: reuse.is_whole(c, WORKSPACE, world.storage, row))

    assert (whole(now - 200), whole(now)) == (True, False)


def test_no_items_are_an_empty_table(world: EngineWorld) -> None:
    gathered(world, "uri_folder", [])
    assert "paths: []" in (world.storage.root / ACCOUNT / "blobs/azureml/p/every.out/MLTable").read_text()


def test_a_step_without_the_output(world: EngineWorld) -> None:
    row = world.submit("s").with_(status=job_status.document(JobStatus(state=JobState.COMPLETED)))
    with pytest.raises(ApiError, match="A step of the loop 'every' has no output 'out'"):
        gathered(world, "uri_folder", [row])


def test_storage_without_folders(world: EngineWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.storage, "local_path", lambda *where: None)
    with pytest.raises(ApiError, match="only those in plain folders can be gathered") as caught:
        gathered(world, "uri_folder", [])
    assert caught.value.status == 501
