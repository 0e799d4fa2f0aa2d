"""What the server makes of its settings and of the agent's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lazulite.server import limits
from lazulite.server.limits import Limiting
from lazulite.server.settings import Settings, SettingsError, load

V1 = {"memory": {"version": 1, "folder": "/m"}, "pids": {"version": 1, "folder": "/p"}, "rlimits": True}
NONE: dict[str, Any] = {"memory": None, "pids": None, "rlimits": True}


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent answers; to be filled by the test."""
    given: dict[str, Any] = {}

    async def ask(question: str) -> dict[str, Any]:
        assert question == "--probe-limits"
        return given

    monkeypatch.setattr(limits, "ask_agent", ask)
    return given


@pytest.mark.parametrize(
    ("found", "settings", "said"),
    [
        (V1, {}, "memory and processes by cgroup v1; open files by rlimit; disk watched every 2 s"),
        (
            NONE,
            {},
            "memory by rlimit and watched every 0.5 s; processes watched every 0.5 s; open files by rlimit; "
            "disk watched every 2 s",
        ),
        (
            {**NONE, "rlimits": False},
            {},
            "memory and processes watched every 0.5 s; open files by rlimit; disk watched every 2 s",
        ),
        (
            V1,
            {"job_memory": "0", "job_disk_gb": 0.0},
            "memory and disk not limited; processes by cgroup v1; open files by rlimit",
        ),
        (V1, {"limits": "off"}, "none, as the setting 'limits' asks"),
    ],
)
async def test_what_is_on_is_said(
    tmp_path: Path, answer: dict[str, Any], found: dict[str, Any], settings: dict[str, Any], said: str
) -> None:
    answer.update(found)
    assert (await limits.probe(Settings(tmp_path, **settings))).detail == said


async def test_an_agent_that_gives_no_answer_leaves_the_watch(tmp_path: Path, answer: dict[str, Any]) -> None:
    answer.update(kind=None, detail="the agent failed")
    found = await limits.probe(Settings(tmp_path))
    assert found.groups is not None
    assert (found.groups.memory, found.groups.pids) == (None, None)
    assert "watched" in found.detail


async def test_control_groups_that_are_asked_for_must_be_there(tmp_path: Path, answer: dict[str, Any]) -> None:
    answer.update(V1, pids=None)
    with pytest.raises(SettingsError, match="no control group for pids"):
        await limits.probe(Settings(tmp_path, limits="cgroup"))


async def test_control_groups_may_be_left_alone(tmp_path: Path, answer: dict[str, Any]) -> None:
    answer.update(V1)
    found = await limits.probe(Settings(tmp_path, limits="rlimit"))
    assert "cgroup" not in found.detail
    assert found.of("Standard_DS3_v2").groups == found.groups
    assert found.groups is not None
    assert found.groups.memory is None


def test_the_memory_is_that_of_the_size(tmp_path: Path) -> None:
    found = Limiting(Settings(tmp_path), "").of("Standard_DS3_v2")
    assert (found.memory_bytes, found.memory_from) == (14 << 30, "the memory of Standard_DS3_v2")
    assert (found.processes, found.open_files, found.disk_bytes) == (8192, 65536, 100 << 30)
    assert Limiting(Settings(tmp_path), "").of("standard_ds1_v2").memory_bytes == 7 << 29


@pytest.mark.parametrize("size", [None, "defaultinstancetype"])
def test_a_compute_without_a_known_size_has_no_limit_of_memory(tmp_path: Path, size: str | None) -> None:
    assert Limiting(Settings(tmp_path), "").of(size).memory_bytes is None


def test_settings_count_before_the_size_and_switch_limits_off(tmp_path: Path) -> None:
    found = Limiting(Settings(tmp_path, job_memory="2.5"), "").of("Standard_DS3_v2")
    assert (found.memory_bytes, found.memory_from) == (5 << 29, "the server's setting job_memory")
    off = Settings(tmp_path, job_memory="0", job_processes=0, job_open_files=0, job_disk_gb=0.0)
    found = Limiting(off, "").of("Standard_DS3_v2")
    assert (found.memory_bytes, found.processes, found.open_files, found.disk_bytes) == (None, None, None, None)
    assert Limiting(Settings(tmp_path, limits="off"), "").of("Standard_DS3_v2").processes is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("limits", "some"), ("job_memory", "much"), ("job_memory", "-1"), ("job_processes", "-1"), ("job_disk_gb", "nan")],
)
def test_what_cannot_be_a_limit_is_refused_at_start(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load({"home": tmp_path}, {f"LAZULITE_{name.upper()}": value})
