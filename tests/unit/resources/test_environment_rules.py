from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lazulite.core.arm_id import PROVIDER
from lazulite.core.errors import ApiError
from lazulite.resources import environment_rules
from lazulite.store import resources
from lazulite.testing.engine_world import ACCOUNT, WORKSPACE, EngineWorld

URI = "azureml://datastores/workspaceblobstore/paths/context"


@pytest.fixture
def world(tmp_path: Path) -> EngineWorld:
    return EngineWorld(tmp_path)


def check(world: EngineWorld, properties: dict[str, Any], *, in_containers: bool = False) -> None:
    row = resources.new(
        f"{WORKSPACE}/environments/e/versions/1",
        f"{PROVIDER}/workspaces/environments/versions",
        {"properties": properties},
    )
    services = SimpleNamespace(storage=world.storage, in_containers=in_containers)

    def ask(c: Any) -> None:
        write = SimpleNamespace(connection=c, services=services)
        environment_rules.check_here(cast(Any, write), row, "environmentId")

    world.database.read_sync(ask)


def test_a_build_context_that_needs_an_engine_is_refused_where_there_is_none(world: EngineWorld) -> None:
    folder = world.storage.local_path(ACCOUNT, "blobs", "context")
    assert folder is not None
    folder.mkdir()
    (folder / "Dockerfile").write_text('FROM python:3.11\nRUN case "x" in a) make it;; esac\n')
    build = {"build": {"contextUri": URI, "dockerfilePath": "Dockerfile"}}
    with pytest.raises(ApiError, match=r'line 2 .*runtime = "container"') as refused:
        check(world, build)
    assert (refused.value.status, refused.value.target) == (400, "environmentId")
    check(world, build, in_containers=True)
    (folder / "Dockerfile").write_text("FROM python:3.11\nRUN pip install six\n")
    check(world, build)


def test_what_lies_beside_a_conda_file_does_not_count(world: EngineWorld) -> None:
    with pytest.raises(ApiError, match=r"'e:1' cannot be had here\. The image julia is there for Julia"):
        check(world, {"image": "julia"})
    check(world, {"image": "julia", "condaFile": "dependencies: [python=3.11]"})
    check(world, {"image": "unknown/image"})


@pytest.mark.parametrize("at", ["Dockerfile", "requirements.txt"])
def test_a_fifo_in_a_build_context_makes_nobody_wait(world: EngineWorld, at: str) -> None:
    """Such a check is made while the database is written."""
    folder = world.storage.local_path(ACCOUNT, "blobs", "context")
    assert folder is not None
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        "FROM python:3.11\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n"
    )
    (folder / at).unlink(missing_ok=True)
    os.mkfifo(folder / at)
    with pytest.raises(ApiError, match=r"not a regular file|'requirements\.txt' is not in the build context"):
        check(world, {"build": {"contextUri": URI}})
