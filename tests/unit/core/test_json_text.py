from __future__ import annotations

import json
import time
from typing import Any

import pytest

from lazulite.core.errors import ApiError
from lazulite.core.json_text import MOST_DEPTH, decode

MOST = 1000


def _nested(depth: int, opening: str = '{"a":', closing: str = "}") -> bytes:
    return (opening * depth + "1" + closing * depth).encode()


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"a": [1, 2, {"b": None}], "text": 'with , [ { and \\ and " in it'},
        {"numbers": list(range(MOST))},
        {f"tag{n}": "" for n in range(MOST)},
        {"csv": ",".join("x" * 3000), "brackets": "[" * 5000, "quotes": '"' * 3000, "slashes": "\\" * 3001},
    ],
    ids=["empty", "mixed", "as many numbers", "as many texts", "what looks like values"],
)
def test_what_is_within_the_limits_is_read(document: dict[str, Any]) -> None:
    assert decode(json.dumps(document).encode(), MOST) == document


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps({"numbers": list(range(MOST + 1))}).encode(),
        json.dumps({f"tag{n}": "" for n in range(2 * MOST + 2)}).encode(),
        b'{"a": [' + b'"",' * 3_000_000 + b'""]}',
        b'{"a": [' + b"1," * 7_000_000 + b"1]}",
    ],
    ids=["numbers", "tags", "empty texts", "15 MB of numbers"],
)
def test_more_values_than_allowed_are_refused_before_they_are_made(raw: bytes) -> None:
    began = time.process_time()
    with pytest.raises(ApiError, match=f"more than the {MOST} values") as refused:
        decode(raw, MOST)
    assert (refused.value.status, refused.value.target) == (413, "body")
    assert time.process_time() - began < 2


def test_objects_and_lists_are_counted_apart() -> None:
    assert decode(b'{"a": [' + b"[]," * (MOST // 2 - 3) + b"1]}", MOST)
    with pytest.raises(ApiError, match=f"more than the {MOST // 2} objects and lists") as refused:
        decode(b'{"a": [' + b"[]," * (MOST // 2) + b"1]}", MOST)
    assert refused.value.status == 413


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]"), ('[{"a":', "}]")])
def test_depth_has_a_limit(opening: str, closing: str) -> None:
    per_turn = opening.count("[") + opening.count("{")
    deepest = (MOST_DEPTH - 1) // per_turn
    inside = b'{"a":' + _nested(deepest, opening, closing) + b"}"
    assert decode(inside, MOST) == json.loads(inside)
    for depth in (MOST_DEPTH // per_turn + 1, 40_000):
        with pytest.raises(ApiError, match=f"nested too deeply: more than {MOST_DEPTH}") as refused:
            decode(b'{"a":' + _nested(depth, opening, closing) + b"}", 200_000)
        assert refused.value.status == 400


@pytest.mark.parametrize(
    "raw", [b'{"a": ' + b"[" * 200, b"]" * 200 + b"[" * 200, b"{" * 400, b'{"a": "\\', b'{"a": ' + b'""' * 2000]
)
def test_brackets_without_a_partner_are_refused(raw: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decode(raw, MOST)
    assert (refused.value.status, refused.value.code) == (400, "InvalidRequestContent")


@pytest.mark.parametrize("raw", [b"[1]", b'"text"', b"nothing", b'{"a": "\\ud800"}', b"\xff"])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        decode(raw, MOST)
    assert (refused.value.status, refused.value.target) == (400, "body")


def test_raw_newlines_in_texts_are_taken() -> None:
    assert decode(b'{"a": "one\ntwo"}', MOST) == {"a": "one\ntwo"}
