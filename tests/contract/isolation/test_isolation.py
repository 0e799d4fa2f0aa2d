"""What a job may and may not do, on every level of isolation that this machine has, as root and as an ordinary user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from tests.contract.isolation.inside import ALLOWED
from tests.contract.isolation.world import World

LEVELS = ("bubblewrap", "landlock", "process")
KEPT = ("data", "code", "database", "key")


class Tried(NamedTuple):
    level: str
    world: World
    found: dict[str, str]
    """What came of each attempt: `ok`, or the name of what went wrong."""


@pytest.fixture(scope="module", params=["root", "user"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("the tests are not run by root")
    made = World(request.param)
    yield made
    made.remove()


@pytest.fixture(scope="module", params=LEVELS)
def tried(request: pytest.FixtureRequest, world: World) -> Tried:
    return Tried(request.param, world, world.attempts(world.level(request.param)))


def test_what_a_job_needs_it_may_do(tried: Tried) -> None:
    failed = {name: tried.found[name] for name in ALLOWED if tried.found[name] != "ok"}
    assert failed == ({"write /tmp": "PermissionError"} if tried.level == "landlock" else {})


def test_what_is_outside_of_the_list_is_not_to_be_had(tried: Tried) -> None:
    if tried.level == "process":
        pytest.skip("a process is not kept from the machine")
    done = [name for name, came in tried.found.items() if name not in ALLOWED and came == "ok"]
    assert done == []
    assert len(tried.found) > 50


def test_what_a_job_is_given_may_be_changed_in_a_copy_alone(tried: Tried) -> None:
    changes = {tried.found[f"change {name}"] for name in ("input", "input file", "environment")}
    assert changes == {"ok"} if tried.level == "process" else "ok" not in changes


def test_nothing_that_is_registered_or_shared_has_changed(tried: Tried) -> None:
    world = tried.world
    for name in KEPT:
        assert world.path(name).read_text() == world.before[name], name
    assert world.module.read_text() == world.before["module"]
    assert world.cached.read_text() == world.before["module"]
    assert world.cached.stat().st_nlink == world.links, "a copy is no hard link"


def test_the_log_tells_of_copies(tried: Tried) -> None:
    log = tried.world.log()
    assert ("input d: 1 files" in log) == (tried.level == "process")
    assert ("copying environment contract:1, as nothing here would keep" in log) == (tried.level == "process")
