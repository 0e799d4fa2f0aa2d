from __future__ import annotations

from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.model.labels import check_document


def _many(count: int) -> dict[str, str]:
    return {f"name{n}": "value" for n in range(count)}


@pytest.mark.parametrize(
    ("document", "target", "says"),
    [
        ({"properties": {"tags": _many(51)}}, "properties.tags", "51 entries; at most 50"),
        ({"properties": {"properties": _many(900_000)}}, "properties.properties", "900000 entries; at most 50"),
        ({"tags": _many(51)}, "tags", "51 entries; at most 50"),
        ({"properties": {"tags": {"n" * 101: "v"}}}, "properties.tags", "more than 100 characters"),
        ({"properties": {"tags": {"note": "v" * 1001}}}, "properties.tags.note", "1001 characters; at most 1000"),
        ({"tags": {"note": "v" * 257}}, "tags.note", "257 characters; at most 256"),
    ],
)
def test_what_is_over_a_limit_is_named(document: dict[str, Any], target: str, says: str) -> None:
    with pytest.raises(ApiError, match=says) as refused:
        check_document(document, {})
    assert (refused.value.status, refused.value.target) == (400, target)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"tags": None, "properties": None},
        {"tags": _many(50), "properties": {"tags": _many(50), "properties": {"note": "v" * 1000, "number": 7}}},
        {"properties": {"computeType": "AmlCompute", "properties": {"script": "v" * 5000}}},
        {"properties": {"tags": "of the wrong type, which others refuse"}},
    ],
)
def test_what_is_within_the_limits_passes(document: dict[str, Any]) -> None:
    check_document(document, {})


def test_what_is_stored_already_may_stay() -> None:
    stored = {"properties": {"tags": {**_many(60), "long": "v" * 5000}}}
    check_document({"properties": {"tags": {**stored["properties"]["tags"], "more": "v"}}}, stored)
