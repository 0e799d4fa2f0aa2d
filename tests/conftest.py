from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lazulite.store.database import Database
from tests import postgres_fixture
from tests.server_fixture import GROUP, SUBSCRIPTION, WORKSPACE, RunningServer

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


@pytest.fixture(scope="session")
def environments_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store of built environments for all servers of a test run, so that each is built once."""
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_fixture.Postgres]:
    """A PostgreSQL for the whole test run; tests that ask for it are skipped where none starts."""
    with postgres_fixture.started() as running:
        yield running


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with our tables and nothing in them: a copy costs a tenth of making them."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind: what asks for it is tested on both."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("empty_database"), tmp_path / "t.db")
        yield f"sqlite:///{tmp_path / 't.db'}"
    else:
        with request.getfixturevalue("postgres").emptied() as url:
            yield url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of this test module's own; the clients of this process are pointed at it."""
    running = RunningServer(tmp_path_factory.mktemp("server") / "home")
    running.home.mkdir()
    running.start()
    running.activate()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def ml_client(server: RunningServer) -> MLClient:
    """The unmodified SDK on the default workspace."""
    warnings.filterwarnings("ignore")
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    return MLClient(DefaultAzureCredential(), SUBSCRIPTION, GROUP, WORKSPACE)
