from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core.web import PUBLIC, Route
from lazulite.server.router import RouteConflict, Router


async def _handler(_request: Request) -> Response:
    return Response()


def a_route(path: str, method: str = "GET", permission: str = PUBLIC) -> Route:
    return Route(method, path, permission, _handler, f"{method} {path}")


def test_literals_match_in_any_case_and_names_keep_theirs() -> None:
    found = Router([a_route("/Subscriptions/{s}/resourceGroups/{g}")]).match(
        "GET", "/subscriptions/S/RESOURCEGROUPS/MyGroup"
    )
    assert found is not None
    assert found.params == {"s": "S", "g": "MyGroup"}


def test_an_encoded_slash_stays_inside_its_segment() -> None:
    found = Router([a_route("/data/{name}")]).match("GET", "/data/..%2F..%2Fsecrets")
    assert found is not None
    assert found.params == {"name": "../../secrets"}


def test_a_literal_wins_and_a_parameter_is_the_way_back() -> None:
    router = Router([a_route("/a/fixed/end"), a_route("/a/{x}/other")])
    fixed, other = router.match("GET", "/a/fixed/end"), router.match("GET", "/a/fixed/other")
    assert fixed is not None
    assert fixed.params == {}
    assert other is not None
    assert other.params == {"x": "fixed"}


def test_rest_of_a_path() -> None:
    found = Router([a_route("/files/{rest:path}")]).match("GET", "/files/a/b%20c/d")
    assert found is not None
    assert found.params == {"rest": "a/b c/d"}


def test_head_is_served_by_get_and_an_unknown_method_names_the_known() -> None:
    router = Router([a_route("/x"), a_route("/x", "PUT")])
    head, patched = router.match("HEAD", "/x"), router.match("PATCH", "/x")
    assert head is not None
    assert head.route is not None
    assert patched is not None
    assert (patched.route, patched.allowed) == (None, ("GET", "PUT"))


def test_nothing_matches() -> None:
    router = Router([a_route("/x/{y}")])
    assert router.match("GET", "/x") is None
    assert router.match("GET", "/x//") is None


def test_declaring_twice_or_without_permission_ends_the_start() -> None:
    with pytest.raises(RouteConflict):
        Router([a_route("/x/{y}"), a_route("/X/{y}")])
    with pytest.raises(RouteConflict):
        Router([a_route("/x/{y}"), a_route("/x/{z}/more")])
    with pytest.raises(ValueError, match="no permission"):
        Router([a_route("/x", permission="")])
