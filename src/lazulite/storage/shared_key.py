"""The strings that Shared Key and Shared Key Lite requests sign."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lazulite.storage.request import Request

_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)


def strings_to_sign(request: Request, scheme: str, account: str) -> Iterator[str]:
    """What a client may have signed, the documented form first.

    `scheme` is `sharedkey` or `sharedkeylite`, `account` the name in the Authorization header. Clients differ in two
    points: some never sign Range, and some order headers as Windows collates words.
    """
    if scheme == "sharedkeylite":
        yield _lite(request, account, _ordinal)
        return
    yield _full(request, account, _ordinal, with_range=True)
    if "range" in request.headers:
        yield _full(request, account, _ordinal, with_range=False)
    yield _full(request, account, _collated, with_range=False)


def _full(request: Request, account: str, order: Callable[[str], object], *, with_range: bool) -> str:
    headers = request.headers
    values = [headers.get(name, "") for name in _HEADERS]
    if values[2] == "0":
        values[2] = ""
    if "x-ms-date" in headers:
        values[5] = ""
    if not with_range:
        values[10] = ""
    query = "".join(f"\n{name}:{value}" for name, value in sorted(request.query.items()))
    resource = f"/{account}{request.raw_path}{query}"
    return "\n".join([request.method, *values]) + "\n" + _ms_headers(headers, order) + resource


def _lite(request: Request, account: str, order: Callable[[str], object]) -> str:
    headers = request.headers
    date = "" if "x-ms-date" in headers else headers.get("date", "")
    fields = [request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date]
    comp = f"?comp={request.query['comp']}" if "comp" in request.query else ""
    return "\n".join(fields) + "\n" + _ms_headers(headers, order) + f"/{account}{request.raw_path}{comp}"


def _ms_headers(headers: dict[str, str], order: Callable[[str], object]) -> str:
    names = sorted((name for name in headers if name.startswith("x-ms-")), key=order)  # type: ignore[arg-type]
    return "".join(f"{name}:{headers[name]}\n" for name in names)


def _ordinal(name: str) -> object:
    return name


def _collated(name: str) -> object:
    # Hyphens weigh nothing, punctuation comes before digits and those before letters.
    return [(1 if "0" <= c <= "9" else 2 if c.isalpha() else 0, c) for c in name if c != "-"]
