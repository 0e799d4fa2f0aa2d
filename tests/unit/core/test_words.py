from __future__ import annotations

import datetime as dt

import pytest

from lazulite.core import arm_id, clock, names
from lazulite.core.errors import ApiError, nearest


@pytest.mark.parametrize(
    ("text", "seconds"), [("PT120S", 120), ("PT2M", 120), ("PT1H30M", 5400), ("P1DT1S", 86401), ("PT0.5S", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert clock.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "P", "PT", "120", "2 minutes", "PT-1S", "P1Y"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        clock.parse_duration(text)


def test_time_as_azure_writes_it() -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.timezone(dt.timedelta(hours=1)))
    assert clock.iso(moment) == "2026-01-02T02:04:05.000006Z"
    assert clock.parse_iso("2026-01-02T02:04:05.000006Z") == moment


def test_an_arm_id_comes_apart_and_together() -> None:
    text = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/W/jobs/j"
    found = arm_id.parse(text)
    assert (found.name, found.workspace, found.type) == ("j", "W", "Microsoft.MachineLearningServices/workspaces/jobs")
    assert str(found) == text
    assert arm_id.workspace_of(text) == text.rsplit("/", 2)[0]


@pytest.mark.parametrize("text", ["", "/x/y", "/subscriptions", "/subscriptions/s/resourceGroups/g/providers/p/types"])
def test_what_is_no_arm_id(text: str) -> None:
    with pytest.raises(ValueError, match="not an ARM id"):
        arm_id.parse(text)


def test_nearest_names_help() -> None:
    assert nearest("cpu-clster", ["cpu-cluster", "gpu"]) == " Did you mean 'cpu-cluster'?"
    assert nearest("STANDARD_DS3_V9", ["Standard_DS3_v2"]) == " Did you mean 'Standard_DS3_v2'?"
    assert nearest("zzz", ["a"]) == " There is: 'a'."
    assert nearest("zzz", []) == ""


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (names.JOB, "a-b_1", "a.b"),
        (names.COMPUTE, "cpu-cluster", "1cpu"),
        (names.WORKSPACE, "mlw-default", "ab"),
        (names.DATASTORE, "blob_1", "blob-1"),
        (names.RESOURCE, "a.b-c_d", "a b"),
    ],
)
def test_names(rule: names.NameRule, good: str, bad: str) -> None:
    rule.check(good)
    for name in (bad, "", "x" * 300, "a\n", "a\x00"):
        with pytest.raises(ApiError) as refused:
            rule.check(name)
        assert rule.says in refused.value.message
