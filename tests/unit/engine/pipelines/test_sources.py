"""What choices and loops decide by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.engine.pipelines import sources
from lazulite.model.pipeline_flow import Source
from lazulite.model.pipeline_graph import InputOf
from lazulite.testing.engine_world import ACCOUNT, EngineWorld

STORE = "azureml://datastores/workspaceblobstore/paths"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EngineWorld]:
    made = EngineWorld(tmp_path)
    (made.storage.root / ACCOUNT / "blobs" / "folder").mkdir(parents=True)
    yield made
    made.database.close()


def text(world: EngineWorld, source: Source, **inputs: Any) -> str:
    pipeline = world.submit("p", jobType="Pipeline", jobs={}, inputs=inputs)
    return world.database.read_sync(lambda c: sources.text(c, world.storage, pipeline, source, None))


def test_a_value(world: EngineWorld) -> None:
    assert text(world, InputOf("a"), a={"jobInputType": "literal", "value": "true"}) == "true"


def test_the_content_of_a_file(world: EngineWorld) -> None:
    (world.storage.root / ACCOUNT / "blobs" / "items.json").write_text("[{}]")
    assert text(world, InputOf("a"), a={"jobInputType": "uri_file", "uri": f"{STORE}/items.json"}) == "[{}]"


def test_a_folder_is_no_list_of_items(world: EngineWorld) -> None:
    with pytest.raises(ApiError, match="The input 'a' is not a file of this machine"):
        text(world, InputOf("a"), a={"jobInputType": "uri_folder", "uri": f"{STORE}/folder"})


def test_a_file_that_is_too_long(world: EngineWorld) -> None:
    (world.storage.root / ACCOUNT / "blobs" / "long").write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(ApiError, match="longer than 1048576 bytes"):
        text(world, InputOf("a"), a={"jobInputType": "uri_file", "uri": f"{STORE}/long"})


def test_nothing_is_there(world: EngineWorld) -> None:
    with pytest.raises(ApiError, match="There is no value for the input 'a'"):
        text(world, InputOf("a"))


def test_a_path_that_leads_out(world: EngineWorld) -> None:
    with pytest.raises(ApiError):
        text(world, InputOf("a"), a={"jobInputType": "uri_file", "uri": f"{STORE}/../../secret"})
