from __future__ import annotations

import pytest

from lazulite.api.crud import canonical
from lazulite.api.write import Origin, check_preconditions, merged
from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.store import resources

SOMEONE = Principal("p", "n", "User")
THERE = resources.new("/subscriptions/s/x/y", "t", {}).with_(etag='"1"')


def test_merge_patch() -> None:
    before = {"properties": {"a": 1, "b": {"c": 2}}, "tags": {"x": "1", "y": "2"}, "location": "l"}
    after = merged(before, {"properties": {"a": None, "b": {"d": 3}}, "tags": {"x": "9"}})
    assert after == {"properties": {"b": {"c": 2, "d": 3}}, "tags": {"x": "9"}, "location": "l"}
    assert before["properties"] == {"a": 1, "b": {"c": 2}}


def test_what_a_patch_leaves_alone_is_a_copy_too() -> None:
    before = {"properties": {"id": "x", "b": {"c": 2}}}
    after = merged(before, {})
    after["properties"].pop("id")
    after["properties"]["b"].clear()
    assert before == {"properties": {"id": "x", "b": {"c": 2}}}


@pytest.mark.parametrize(
    ("match", "none_match", "exists", "refused"),
    [
        ('"1"', None, True, False),
        ("*", None, True, False),
        ('"2"', None, True, True),
        ("*", None, False, True),
        (None, "*", True, True),
        (None, "*", False, False),
        (None, '"2"', True, False),
        (None, None, True, False),
    ],
)
def test_preconditions(match: str | None, none_match: str | None, exists: bool, refused: bool) -> None:
    origin = Origin(SOMEONE, {}, match, none_match)
    if not refused:
        check_preconditions(origin, THERE if exists else None)
        return
    with pytest.raises(ApiError) as error:
        check_preconditions(origin, THERE if exists else None)
    assert error.value.status == 412


def test_ids_are_canonical_in_literals_and_keep_names() -> None:
    path = "/SUBSCRIPTIONS/s/resourcegroups/Rg/providers/microsoft.machinelearningservices/Workspaces/Jobs/JOBS/Data"
    assert canonical(path) == (
        "/subscriptions/s/resourceGroups/Rg/providers/Microsoft.MachineLearningServices/workspaces/Jobs/jobs/Data"
    )
