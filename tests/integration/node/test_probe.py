"""The probe takes a level for what it keeps, not for starting."""

import os
from pathlib import Path

import pytest

from lazulite.node import bubblewrap, landlock, probe

from .conftest import level


@pytest.fixture
def home(tmp_path: Path) -> str:
    (tmp_path / "home").mkdir()
    return str(tmp_path / "home")


def test_a_level_that_works_is_taken(home: str) -> None:
    kind = level("bubblewrap").kind
    assert probe.probe(home)["kind"] == kind
    assert os.listdir(home) == []


def test_bubblewrap_that_starts_and_hides_nothing_is_passed_over(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    level("bubblewrap")
    monkeypatch.setattr(bubblewrap, "arguments", lambda *_: ["--dev-bind", "/", "/"])
    found = probe.probe(home)
    assert found["kind"] in ("landlock", "process")
    assert "bubblewrap does not work here: " in found["why_not"]
    assert f"it reads files in {home}" in found["why_not"]
    assert "it sees other processes" in found["why_not"]
    assert ("it writes into /usr" in found["why_not"]) == (os.geteuid() == 0)
    alone = probe.probe(home, "bubblewrap")
    assert (alone["kind"], alone["why_not"]) == ("process", found["why_not"])


def test_landlock_that_allows_everything_is_passed_over(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    level("landlock")
    monkeypatch.setattr(landlock, "rules", lambda _: iter([landlock.Rule("/", landlock.WRITE)]))
    found = probe.probe(home, "landlock")
    assert found["kind"] == "process"
    assert f"it changes files in {home}" in found["why_not"]
    assert "remounts" not in found["why_not"], "the kernel refuses that to whoever has restricted itself"


@pytest.mark.parametrize("abi", [1, 2, 3, 5, 6])
def test_landlock_of_older_kernels(home: str, monkeypatch: pytest.MonkeyPatch, abi: int) -> None:
    level("landlock")
    if landlock.version() < abi:
        pytest.skip(f"this kernel's Landlock is older than version {abi}")
    monkeypatch.setattr(landlock, "version", lambda: abi)
    found = probe.probe(home, "landlock")
    assert found["kind"] == "landlock", found
    assert f"version {abi}" in found["detail"]
    assert ("cut to length" in found["detail"]) == (abi < 3)
    assert ("signalled" in found["detail"]) == (abi < 6)


def test_without_either_jobs_are_processes_and_both_reasons_told(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(landlock, "version", lambda: 0)
    found = probe.probe(home)
    assert found["kind"] == "process"
    assert found["why_not"].startswith("bubblewrap (bwrap) is not installed; this kernel has no Landlock")
