"""Every endpoint of the installed MLflow client's services has a route, or one that says it is not built."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mlflow.protos import databricks_pb2, mlflow_artifacts_pb2, model_registry_pb2, service_pb2, webhooks_pb2

from lazulite.server.router import Router
from lazulite.store.database import Database
from lazulite.tracking.call import TrackingContext
from lazulite.tracking.routes import NOT_BUILT, routes
from lazulite.tracking.webhook_delivery import WebhookSender
from lazulite.vault.sealed import SealedSecrets

from .conftest import WS, MemoryArtifacts, OwnAccounts

#: Of these the newest client's server does everything and ours nothing.
FIRST_WORDS_NOT_BUILT = {
    "gateway", "get-online-trace-details", "prompt-optimization", "scorers/online-config", "unified-traces", "workspaces",
}  # fmt: skip


def endpoints() -> list[tuple[str, str]]:
    found = set()
    for module in (service_pb2, model_registry_pb2, mlflow_artifacts_pb2, webhooks_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                for one in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    path = re.sub(r"[{<][^}>]*[}>]", "x", one.path.lstrip("/"))
                    found.add((one.method, f"api/{one.since.major}.0/{path}"))
    return sorted(found)


@pytest.fixture
def router(database: Database, artifacts: MemoryArtifacts) -> Any:
    sender = WebhookSender(SealedSecrets(bytes(32)))
    return Router(routes(TrackingContext(database, artifacts, "localhost", sender, OwnAccounts())))


def test_what_is_not_built_is_what_we_say() -> None:
    assert set(NOT_BUILT) == FIRST_WORDS_NOT_BUILT
    assert len(endpoints()) > 150


def test_every_endpoint_has_a_route_of_its_own(router: Any) -> None:
    built = 0
    for method, path in endpoints():
        match = router.match(method, f"/mlflow/rest{WS}/{path}")
        assert match is not None, (method, path)
        assert match.route is not None, (method, path)
        assert match.route.operation != "MLflow.{rest:path}", (method, path)
        words = path.split("mlflow/", 1)[-1]
        not_built = any(words == first or words.startswith(f"{first}/") for first in NOT_BUILT)
        assert (match.route.operation.removeprefix("MLflow.").startswith(tuple(NOT_BUILT))) == not_built, (method, path)
        built += not not_built
    assert built >= 85
