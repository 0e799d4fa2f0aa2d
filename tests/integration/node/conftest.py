"""Real agents in run folders of their own, with one small environment that is built once."""

import functools
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest

import lazulite.node
from lazulite.model.run_plan import EnvironmentPlan, Isolation, RunPlan
from lazulite.node import probe

AGENT = Path(lazulite.node.__file__).parent / "__main__.py"
UV = shutil.which("uv") or str(Path(sys.executable).parent / "uv")


@pytest.fixture(scope="session")
def environments_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environments")


def an_environment(**changes: Any) -> EnvironmentPlan:
    fields: dict[str, Any] = {
        "key": "test-six",
        "name": "test-env:1",
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "interpreter": str(Path(sys.executable).resolve()),
        "requirements": ["pip", "setuptools<81", "six==1.16.0"],
    }
    return EnvironmentPlan(**{**fields, **changes})


class AgentRun:
    """One run folder and the agent in it."""

    def __init__(self, folder: Path, plan: RunPlan, secrets: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.plan = plan
        self.artifacts = Path(plan.artifacts)
        folder.mkdir(parents=True)
        (folder / "plan.json").write_bytes(msgspec.json.encode(plan))
        if secrets:
            (folder / "secrets.json").write_text(json.dumps(secrets))

    def start(self) -> "AgentRun":
        done = subprocess.run([sys.executable, "-I", "-S", str(AGENT), str(self.folder)], check=False, timeout=30)
        assert done.returncode == 0
        return self

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "status.json").read_text())
            return found
        except FileNotFoundError:
            return {}

    def wait(self, phase: str = "done", seconds: float = 60) -> dict[str, Any]:
        return until(lambda: (found := self.status()).get("phase") in (phase, "done") and found, seconds)

    def log(self, name: str = "user_logs/std_log.txt") -> str:
        return (self.artifacts / name).read_text()


def until(check: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true answer of `check`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := check():
            return answer
        time.sleep(0.01)
    raise AssertionError(f"did not come true within {seconds} s")


@pytest.fixture(params=["process", "landlock", "bubblewrap"])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    return level(request.param)


@functools.cache
def level(kind: str) -> Isolation:
    """The isolation of that kind as this machine has it; skips where it does not work here."""
    if kind == "process":
        return Isolation()
    with tempfile.TemporaryDirectory() as home:
        found = probe.probe(home, kind)
    if found["kind"] != kind:
        pytest.skip(found["why_not"])
    return Isolation(kind=kind, options=found["options"], hide=found["hide"], show=found["show"])


@pytest.fixture
def a_run(tmp_path: Path, environments_root: Path) -> Callable[..., AgentRun]:
    count = 0

    def build(command: str, *, secrets: dict[str, Any] | None = None, **changes: Any) -> AgentRun:
        nonlocal count
        count += 1
        fields: dict[str, Any] = {
            "job": f"job-{count}",
            "command": command,
            "environment": an_environment(),
            "environments_root": str(environments_root),
            "artifacts": str(tmp_path / "artifacts" / str(count)),
            "uv": UV,
            "grace_s": 2.0,
        }
        return AgentRun(tmp_path / "runs" / str(count), RunPlan(**{**fields, **changes}), secrets)

    return build


class Blobs(http.server.BaseHTTPRequestHandler):
    """A few verbs of the Blob protocol over a dictionary, asking for the right signature."""

    content: ClassVar[dict[str, bytes]] = {}
    flaky: ClassVar[list[int]] = []

    def do_GET(self) -> None:
        url, query = self.parse()
        if self.flaky:
            return self.answer(self.flaky.pop(), b"busy")
        if query.get("comp") == ["list"]:
            prefix = unquote(query["prefix"][0]) if "prefix" in query else ""
            names = [name.removeprefix("/c/") for name in self.content if name.startswith(f"/c/{prefix}")]
            xml = "".join(f"<Blob><Name>{name}</Name></Blob>" for name in names)
            return self.answer(
                200, f"<EnumerationResults><Blobs>{xml}</Blobs><NextMarker/></EnumerationResults>".encode()
            )
        return self.answer(200, self.content[url]) if url in self.content else self.answer(404, b"")

    def do_PUT(self) -> None:
        url, query = self.parse()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if query.get("sig") != ["good"]:
            return self.answer(403, b"")
        self.content[url] = body
        return self.answer(201, b"")

    def parse(self) -> tuple[str, dict[str, list[str]]]:
        split = urlsplit(self.path)
        return unquote(split.path), parse_qs(split.query)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def blobs() -> Iterator[str]:
    Blobs.content = {"/c/data/a.csv": b"a\n", "/c/data/sub/b c.csv": b"b\n", "/c/../../evil": b"x"}
    Blobs.flaky = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Blobs)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/c"
    server.shutdown()
