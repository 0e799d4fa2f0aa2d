from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.server_fixture import RunningServer


@pytest.fixture(scope="module")
def mlflow(server: RunningServer) -> Iterator[Any]:
    """The real MLflow client, pointed at the module's server."""
    patch = pytest.MonkeyPatch()
    for name, value in server.environment().items():
        patch.setenv(name, value)
    patch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    mlflow.set_tracking_uri(server.environment()["MLFLOW_TRACKING_URI"])
    yield mlflow
    mlflow.set_tracking_uri(None)
    patch.undo()
