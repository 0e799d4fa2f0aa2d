"""Control groups of both versions, as trees of plain files."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from lazulite.node import cgroups
from lazulite.node.cgroups import Group, Hierarchy

V1 = """
25 1 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro
31 25 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
32 25 0:29 / /sys/fs/cgroup/pids rw,nosuid - cgroup cgroup rw,pids
33 25 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
34 25 0:31 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
""".strip()


def test_the_groups_of_version_1_beside_an_empty_version_2() -> None:
    own = "4:memory:/user/1\n3:pids:/\n2:cpu,cpuacct:/user\n1:name=systemd:/user/1\n0::/user/1"
    assert cgroups.hierarchies(V1, own) == [
        Hierarchy(2, frozenset(), "/sys/fs/cgroup/unified", "/sys/fs/cgroup/unified/user/1"),
        Hierarchy(1, frozenset({"memory"}), "/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/user/1"),
        Hierarchy(1, frozenset({"pids"}), "/sys/fs/cgroup/pids", "/sys/fs/cgroup/pids"),
    ]


def test_the_one_tree_of_version_2() -> None:
    own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope"
    (found,) = cgroups.hierarchies("30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate", own)
    assert found.own == "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope"


def test_a_container_sees_its_own_part_of_the_tree() -> None:
    line = "30 24 0:26 {} /sys/fs/cgroup rw - cgroup2 cgroup rw"
    assert cgroups.hierarchies(line.format("/docker/a"), "0::/docker/a/b")[0].own == "/sys/fs/cgroup/b"
    assert cgroups.hierarchies(line.format("/docker/a"), "0::/elsewhere")[0].own == "/sys/fs/cgroup"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Version 2: the mount, a slice that passes controllers on, and a scope with processes, which does not."""
    for folder, passed_on in (("", "memory pids"), ("a.slice", "pids"), ("a.slice/b.scope", "")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (tmp_path / folder / "cgroup.subtree_control").write_text(f"{passed_on}\n")
    return tmp_path


def test_places_of_version_2_are_those_that_pass_the_controller_on(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str, text: str) -> None:
        raise OSError(16, "Device or resource busy", path)

    there = Hierarchy(2, frozenset(), str(tree), str(tree / "a.slice/b.scope"))
    monkeypatch.setattr(cgroups, "write", refused)
    assert list(cgroups.places(there, "pids")) == [str(tree / "a.slice"), str(tree)]
    assert list(cgroups.places(there, "memory")) == [str(tree)]
    assert list(cgroups.places(there, "io")) == []


def test_a_controller_is_switched_on_where_that_may_be_done(tree: Path) -> None:
    assert cgroups.is_passed_on(str(tree / "a.slice"), "pids")
    cgroups.is_passed_on(str(tree / "a.slice"), "memory")
    assert (tree / "a.slice" / "cgroup.subtree_control").read_text().startswith("+memory")


def test_the_first_place_whose_trial_succeeds_is_taken_for_each_controller(tmp_path: Path) -> None:
    there = [
        Hierarchy(1, frozenset({"memory"}), str(tmp_path), str(tmp_path / "user" / "1")),
        Hierarchy(1, frozenset({"pids"}), str(tmp_path / "pids"), str(tmp_path / "pids")),
    ]
    tried: list[str] = []

    def trial(place: dict[str, Any], controller: str) -> bool:
        tried.append(place["folder"])
        return controller == "memory" and place["folder"] == str(tmp_path / "user")

    assert cgroups.find(there, trial) == {"memory": {"version": 1, "folder": str(tmp_path / "user")}}
    assert tried == [str(tmp_path / "user" / "1"), str(tmp_path / "user"), str(tmp_path / "pids")]


def a_group(folder: Path, *files: str) -> None:
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).touch()


def test_the_limits_of_version_2(tmp_path: Path) -> None:
    files = ("memory.max", "memory.swap.max", "memory.oom.group", "memory.events", "pids.max", "pids.events")
    a_group(tmp_path / "g", *files)
    place = {"version": 2, "folder": str(tmp_path)}
    group = Group({"memory": place, "pids": place}, "g")
    group.make(memory_bytes=1000, processes=5)
    written = {name: (tmp_path / "g" / name).read_text() for name in files}
    assert written["memory.max"] == "1000"
    assert (written["memory.swap.max"], written["memory.oom.group"], written["pids.max"]) == ("0", "1", "5")
    assert group.entrances() == [str(tmp_path / "g" / "cgroup.procs")]
    assert group.exceeded() == set()
    (tmp_path / "g" / "pids.events").write_text("max 2\n")
    assert group.exceeded() == {"pids"}
    (tmp_path / "g" / "memory.events").write_text("low 0\nmax 17\noom 1\noom_kill 1\n")
    assert group.exceeded() == {"memory", "pids"}


def test_the_limits_of_version_1(tmp_path: Path) -> None:
    a_group(tmp_path / "memory" / "g", "memory.limit_in_bytes", "memory.oom_control")  # a kernel that counts no swap
    a_group(tmp_path / "pids" / "g", "pids.max", "pids.events")
    places = {name: {"version": 1, "folder": str(tmp_path / name)} for name in ("memory", "pids")}
    group = Group(places, "g")
    group.make(memory_bytes=1000, processes=5)
    assert (tmp_path / "memory" / "g" / "memory.limit_in_bytes").read_text() == "1000"
    assert (tmp_path / "pids" / "g" / "pids.max").read_text() == "5"
    assert len(group.entrances()) == 2
    assert group.exceeded() == set()
    (tmp_path / "memory" / "g" / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    assert group.exceeded() == {"memory"}


def test_a_group_that_may_not_be_limited_says_so(tmp_path: Path) -> None:
    group = Group({"memory": {"version": 1, "folder": str(tmp_path)}, "pids": None}, "g")  # type: ignore[dict-item]
    with pytest.raises(OSError, match=r"memory.limit_in_bytes"):
        group.make(memory_bytes=1)
    assert group.remove()


def test_groups_are_found_again_by_the_runs_folder(tmp_path: Path) -> None:
    places = {"pids": {"version": 1, "folder": str(tmp_path)}}
    for folder, node in (("/runs/1", 0), ("/runs/1", 1), ("/runs/11", 0)):
        (tmp_path / cgroups.name(folder, node)).mkdir()
    assert len(cgroups.of(places, "/runs/1")) == 2
    for group in cgroups.of(places, "/runs/1"):
        group.end(seconds=0)
    assert os.listdir(tmp_path) == [cgroups.name("/runs/11", 0)]


def test_old_and_empty_groups_are_removed(tmp_path: Path) -> None:
    for name in ("lazulite-old-0", "lazulite-new-0", "lazulite-used-0", "strangers"):
        (tmp_path / name).mkdir()
    (tmp_path / "lazulite-used-0" / "below").mkdir()
    for name in ("lazulite-old-0", "lazulite-used-0", "strangers"):
        os.utime(tmp_path / name, (0, time.time() - 2 * cgroups.OLD_S))
    cgroups.sweep({"pids": {"version": 1, "folder": str(tmp_path)}})
    assert sorted(os.listdir(tmp_path)) == ["lazulite-new-0", "lazulite-used-0", "strangers"]
