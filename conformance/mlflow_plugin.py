"""A pytest plugin that puts Lazulite in the place of the servers MLflow's own tests start.

pytest loads it with `-p` in an environment that holds MLflow and not Lazulite: it imports neither the platform nor the
Azure clients. Every test gets a workspace of its own, made when the test first asks for a server.

    LAZULITE_TESTS_URL       the server, without a path
    LAZULITE_TESTS_GROUP     ARM id of the resource group the workspaces are made in
    LAZULITE_TESTS_LEFT_OUT  a regular expression of the names of tests that are not to run
    LAZULITE_TESTS_REPORT    the file that gets a JSON line for each test: {"test", "outcome", "seconds", "reason"}
    MLFLOW_TRACKING_TOKEN    a token of somebody who may make workspaces
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

_SERVER = os.environ["LAZULITE_TESTS_URL"]
_GROUP = os.environ["LAZULITE_TESTS_GROUP"]
_TOKEN = os.environ["MLFLOW_TRACKING_TOKEN"]
_API_VERSION = {"api-version": "2025-12-01"}
_REASON_LINES = 3


class Workspaces:
    """The workspace of the test that runs."""

    def __init__(self) -> None:
        self._current = ""

    def url(self) -> str:
        """Its tracking URI."""
        if not self._current:
            self._current = (
                f"{_GROUP}/providers/Microsoft.MachineLearningServices/workspaces/mlf-{uuid.uuid4().hex[:12]}"
            )
            _arm("PUT", self._current, {"location": "local", "properties": {}})
        return f"{_SERVER}/mlflow/rest{self._current}"

    def leave(self) -> None:
        if self._current:
            _arm("DELETE", self._current)
        self._current = ""


_workspaces = Workspaces()


class ServerThread:
    """What the tests start as a server; `app` and `port` are not needed."""

    def __init__(self, _app: object, _port: int) -> None: ...

    def __enter__(self) -> str:
        return _workspaces.url()

    def __exit__(self, *_error: object) -> None: ...


def pytest_configure() -> None:
    _send_token()
    tests: Any = importlib.import_module("tests.tracking.integration_test_utils")
    conftest: Any = importlib.import_module("tests.conftest")
    handlers: Any = importlib.import_module("mlflow.server.handlers")
    tests.ServerThread, tests._init_server = ServerThread, _init_server
    conftest._use_tracking_uri = _use_tracking_uri(conftest._use_tracking_uri)
    # The tests prepare a database for the server they would start.
    handlers.initialize_backend_stores = lambda *_arguments, **_options: None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the manifest does; and tests that run once for each of MLflow's stores run once here."""
    left_out = re.compile(os.environ.get("LAZULITE_TESTS_LEFT_OUT") or r"\Z.")
    dropped = [item for item in items if left_out.match(item.nodeid.partition("[")[0]) or "file" in _parameters(item)]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]


def _parameters(item: pytest.Item) -> list[object]:
    specification = getattr(item, "callspec", None)
    return list(specification.params.values()) if specification else []


def pytest_runtest_logfinish() -> None:
    _workspaces.leave()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.passed:
        return
    lines = _reason(report)
    entry = {"test": report.nodeid, "outcome": report.outcome, "seconds": report.duration, "reason": lines}
    with open(os.environ["LAZULITE_TESTS_REPORT"], "a") as file:
        file.write(json.dumps(entry) + "\n")


def _reason(report: pytest.TestReport) -> str:
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr)
    return "\n".join(text.splitlines()[:_REASON_LINES])


@contextlib.contextmanager
def _init_server(*_arguments: object, **_options: object) -> Iterator[str]:
    yield _workspaces.url()


def _use_tracking_uri(original: Any) -> Any:
    """MLflow's own context manager, with the workspace in place of the database each test would get."""

    @contextlib.contextmanager
    def replaced(_database: str) -> Iterator[None]:
        with original(_workspaces.url()):
            yield

    return replaced


def _send_token() -> None:
    """Many tests call the server with plain `requests`: they get the header MLflow's client sends by itself."""
    session_class: Any = requests.Session
    send = session_class.send

    def with_token(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if str(request.url).startswith(_SERVER):
            request.headers.setdefault("Authorization", f"Bearer {_TOKEN}")
        answer: requests.Response = send(session, request, **options)
        return answer

    session_class.send = with_token


def _arm(method: str, path: str, body: dict[str, Any] | None = None) -> None:
    answer = requests.request(method, f"{_SERVER}{path}", params=_API_VERSION, json=body, timeout=60)
    answer.raise_for_status()
