from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.server.sessions import CODE_LIFETIME_S, SESSION_LIFETIME_S, Sessions, check_same_origin

ANA = Principal("11111111-2222-3333-4444-555555555555", "ana", "User")
PATH = "/mlflow/rest/somewhere/"


class People:
    """A directory of one."""

    def __init__(self) -> None:
        self.known = {ANA.id: ANA}

    def get(self, principal_id: str) -> Principal | None:
        return self.known.get(principal_id)


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def people() -> People:
    return People()


@pytest.fixture
def sessions(clock: Clock, people: People) -> Sessions:
    return Sessions(b"k" * 32, people, clock)  # type: ignore[arg-type]


def request(
    method: str = "GET", path: str = PATH, *, scheme: str = "http", host: str = "localhost:8080", **headers: str
) -> Request:
    given = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope: dict[str, Any] = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": scheme,
        "server": ("localhost", 8080), "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }  # fmt: skip
    return Request(scope)


def cookie_of(sessions: Sessions, asked: Request) -> str:
    response = Response()
    sessions.begin(asked, response, ANA.id)
    return response.headers["set-cookie"]


def signed_in(sessions: Sessions, *, method: str = "GET", path: str = PATH, **headers: str) -> Principal | None:
    cookie = cookie_of(sessions, request()).split(";")[0]
    return sessions.caller(request(method, path, cookie=cookie, **headers))


def test_a_code_signs_in_once(sessions: Sessions) -> None:
    code = sessions.new_code(ANA, PATH)
    assert sessions.redeem(code) == (ANA.id, PATH)
    with pytest.raises(ApiError) as refused:
        sessions.redeem(code)
    assert refused.value.status == 401


def test_a_code_ends_with_its_time(sessions: Sessions, clock: Clock) -> None:
    code = sessions.new_code(ANA, PATH)
    clock.now += CODE_LIFETIME_S
    with pytest.raises(ApiError):
        sessions.redeem(code)


def test_a_code_ends_with_its_principal(sessions: Sessions, people: People) -> None:
    code = sessions.new_code(ANA, PATH)
    people.known.clear()
    with pytest.raises(ApiError):
        sessions.redeem(code)


def test_codes_do_not_pile_up(sessions: Sessions) -> None:
    first, *others = [sessions.new_code(ANA, PATH) for _ in range(1001)]
    assert sessions.redeem(others[-1]) == (ANA.id, PATH)
    with pytest.raises(ApiError):
        sessions.redeem(first)


def test_the_cookie_is_the_servers_alone(sessions: Sessions) -> None:
    plain = cookie_of(sessions, request())
    assert plain.startswith("lazulite_8080=")
    assert "HttpOnly" in plain
    assert "SameSite=strict" in plain
    assert "Path=/mlflow;" in plain
    assert f"Max-Age={SESSION_LIFETIME_S}" in plain
    assert "Secure" not in plain
    assert "Secure" in cookie_of(sessions, request(scheme="https", host="localhost:8443"))


def test_a_cookie_says_who_calls(sessions: Sessions) -> None:
    assert signed_in(sessions) == ANA


@pytest.mark.parametrize("path", ["/subscriptions/x", "/lazulite/principals", "/mlflowish", "/storage/a"])
def test_a_cookie_is_taken_for_the_tracking_api_alone(sessions: Sessions, path: str) -> None:
    assert signed_in(sessions, path=path) is None


def test_a_session_ends_with_its_time_and_its_principal(sessions: Sessions, clock: Clock, people: People) -> None:
    cookie = cookie_of(sessions, request()).split(";")[0]
    clock.now += SESSION_LIFETIME_S
    assert sessions.caller(request(cookie=cookie)) is None
    clock.now -= 1
    assert sessions.caller(request(cookie=cookie)) == ANA
    people.known.clear()
    assert sessions.caller(request(cookie=cookie)) is None


@pytest.mark.parametrize("spoil", [
    lambda v: v[:-1] + ("0" if v[-1] != "0" else "1"),
    lambda v: v.replace(ANA.id, "99999999" + ANA.id[8:]),
    lambda v: v.replace(".1", ".9", 1),
    lambda v: v.rpartition(".")[2],
    lambda v: "",
    lambda v: "é.é",
])  # fmt: skip
def test_a_spoiled_cookie_is_nobodys(sessions: Sessions, spoil: Any) -> None:
    name, _, value = cookie_of(sessions, request()).split(";")[0].partition("=")
    spoiled = spoil(value)
    assert spoiled != value
    assert sessions.caller(request(cookie=f"{name}={spoiled}".encode().decode("latin-1"))) is None


def test_another_homes_cookie_is_nobodys(sessions: Sessions, people: People, clock: Clock) -> None:
    other = Sessions(b"x" * 32, people, clock)  # type: ignore[arg-type]
    cookie = cookie_of(other, request()).split(";")[0]
    assert sessions.caller(request(cookie=cookie)) is None


@pytest.mark.parametrize("headers", [
    {"sec_fetch_site": "same-origin"},
    {"origin": "http://localhost:8080"},
    {"origin": "https://localhost:8080"},
])  # fmt: skip
def test_our_own_pages_may_change_things(headers: dict[str, str]) -> None:
    check_same_origin(request("POST", **headers))


@pytest.mark.parametrize(("method", "headers"), [
    ("POST", {"sec_fetch_site": "cross-site"}),
    ("POST", {"sec_fetch_site": "same-site"}),
    ("POST", {"sec_fetch_site": "none"}),
    ("POST", {"sec_fetch_site": "same-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}),
    ("POST", {"origin": "http://localhost:9999"}),
    ("POST", {"origin": "null"}),
    ("GET", {"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "script"}),
    ("GET", {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"}),
])  # fmt: skip
def test_other_pages_may_not(sessions: Sessions, method: str, headers: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        signed_in(sessions, method=method, **headers)
    assert refused.value.status == 403


def test_a_change_of_unknown_origin_needs_a_token(sessions: Sessions) -> None:
    """What names no origin is no browser of today; programs have bearer tokens."""
    with pytest.raises(ApiError):
        signed_in(sessions, method="POST")


@pytest.mark.parametrize("headers", [
    {},
    {"sec_fetch_site": "none", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
])  # fmt: skip
def test_a_link_may_be_opened_from_anywhere(sessions: Sessions, headers: dict[str, str]) -> None:
    assert signed_in(sessions, **headers) == ANA


def test_a_replaced_key_ends_what_the_old_one_signed_in(sessions: Sessions, people: People) -> None:
    cookie, code = cookie_of(sessions, request()).split(";")[0], sessions.new_code(ANA, PATH)
    assert sessions.caller(request(cookie=cookie)) == ANA
    people.known[ANA.id] = replace(ANA, key="another")
    assert sessions.caller(request(cookie=cookie)) is None
    with pytest.raises(ApiError):
        sessions.redeem(code)
