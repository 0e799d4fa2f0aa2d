"""What the server makes of the agent's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lazulite.server import isolation, runtime
from lazulite.server.settings import Settings, SettingsError


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent answers; to be filled by the test."""
    given: dict[str, Any] = {}

    async def ask(question: str, *about: str) -> dict[str, Any]:
        return {**given, "asked": question}

    monkeypatch.setattr(isolation, "ask_agent", ask)
    monkeypatch.setattr(runtime, "ask_agent", ask)
    return given


async def test_the_engine_that_was_found(tmp_path: Path, answer: dict[str, Any]) -> None:
    answer.update(kind="podman", command=["/usr/bin/podman"], detail="podman 4.3.1 with runc")
    found = await runtime.probe(Settings(tmp_path, runtime="container"))
    assert found.kind == "container"
    assert found.engine is not None
    assert found.engine.command == ["/usr/bin/podman"]
    assert "podman 4.3.1" in found.detail


async def test_without_an_engine_the_settings_cannot_be_met(tmp_path: Path, answer: dict[str, Any]) -> None:
    answer.update(kind=None, detail="podman is not installed; docker is not installed")
    with pytest.raises(SettingsError, match=r"podman is not installed.*apt-get install podman"):
        await runtime.probe(Settings(tmp_path, runtime="container"))


async def test_processes_ask_for_no_engine(tmp_path: Path, answer: dict[str, Any]) -> None:
    answer.update(kind=None, detail="not to be asked")
    assert (await runtime.probe(Settings(tmp_path))).kind == "process"


async def test_isolation_is_what_the_agent_finds(tmp_path: Path, answer: dict[str, Any]) -> None:
    answer.update(kind="process", detail="", why_not="bubblewrap (bwrap) is not installed")
    found = await isolation.probe(Settings(tmp_path))
    assert found.kind == "process"
    assert "apt-get install bubblewrap" in found.detail
    with pytest.raises(SettingsError, match="not installed"):
        await isolation.probe(Settings(tmp_path, isolation="bubblewrap"))
    answer.update(kind="landlock", detail="version 3", why_not="")
    assert (await isolation.probe(Settings(tmp_path))).detail.count("version 3") == 1
    answer.update(why_not="bubblewrap (bwrap) is not installed")
    found = await isolation.probe(Settings(tmp_path))
    assert found.kind == "landlock"
    assert "version 3" in found.detail
    assert "apt-get install bubblewrap" in found.detail
    answer.update(kind="bubblewrap", detail="", options=["--unshare-user"], hide=["/etc/shadow"], why_not="")
    found = await isolation.probe(Settings(tmp_path))
    assert (found.kind, found.options, found.hide) == ("bubblewrap", ("--unshare-user",), ("/etc/shadow",))


async def test_an_agent_without_an_answer_leaves_jobs_as_processes(tmp_path: Path, answer: dict[str, Any]) -> None:
    answer.update(kind=None, detail="the agent's --probe failed: it says nothing")
    found = await isolation.probe(Settings(tmp_path))
    assert found.kind == "process"
    assert "it says nothing" in found.detail
    with pytest.raises(SettingsError, match="isolation is 'landlock', and the agent's --probe failed"):
        await isolation.probe(Settings(tmp_path, isolation="landlock"))


async def test_an_agent_that_fails_to_answer_is_told_of() -> None:
    found = await isolation.ask_agent("--probe-nothing")
    assert found["kind"] is None
    assert "--probe-nothing failed" in found["detail"]
