"""Pages: `$top`, `$skipToken`, and the `nextLink` that carries on."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.requests import Request

from lazulite.core.errors import bad_request
from lazulite.core.numbers import whole_number
from lazulite.store.resources import Json

PAGE = 100
_MAXIMUM = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """`after` is the sequence number the page before ended with; `limit` None-free: how many to answer."""

    limit: int
    after: int | None
    bounded: bool  # the client named the number it wants: no further page
    newest_first: bool | None


def page(request: Request) -> Page:
    """Read a listing's query. Raises ApiError 400 naming the parameter."""
    query = {k.lower(): v for k, v in request.query_params.items()}
    top = _number(query, "$top") or _number(query, "count")
    token = query.get("$skiptoken") or query.get("$skip") or query.get("skip")
    order = query.get("$orderby") or query.get("orderby")
    after = whole_number(token)
    if token is not None and after is None:
        raise bad_request(f"'{token}' is not a token this server gave out: follow nextLink as it is.", "$skipToken")
    newest_first = None if order is None else order.strip().lower().endswith("desc")
    return Page(min(top or PAGE, _MAXIMUM), after, "$top" in query, newest_first)


def answer(request: Request, base_url: str, found: Page, items: list[Json], last: int | None) -> Json:
    """`{"value", "nextLink"}`; `last` is the sequence number to carry on after, None at the end."""
    if last is None or found.bounded:
        return {"value": items, "nextLink": None}
    query = {k: v for k, v in request.query_params.items() if k.lower() not in ("$skiptoken", "$skip", "skip")}
    query["$skipToken"] = str(last)
    path = quote(request.url.path, safe="/")
    return {"value": items, "nextLink": f"{base_url}{path}?{urlencode(query)}"}


def _number(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    number = whole_number(text, 1)
    if number is None:
        raise bad_request(f"{name} is '{text[:100]}' and must be a whole number from 1.", name)
    return number
