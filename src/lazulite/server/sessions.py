"""Signing in from a browser: one-time codes, and the cookie that a code is exchanged for."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.identity.directory import Directory

CODE_LIFETIME_S = 120
SESSION_LIFETIME_S = 12 * 3600
#: The cookie reaches what lies below, and is taken nowhere else.
COOKIE_PATH = "/mlflow"
_MOST_CODES = 1000
_SAFE = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class _Code:
    principal_id: str
    key: str
    path: str
    expires: float


class Sessions:
    """Codes are kept in memory, once and for two minutes; cookies are signed and kept nowhere.

    A cookie is not a bearer token: the rest of the server does not take it. It ends with its time, with its principal or
    that one's key, or when the browser is signed out. `key` is the home's master key, of which a key of our own is derived.
    """

    def __init__(self, key: bytes, directory: Directory, clock: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(key, b"browser sessions", "sha256")
        self._directory = directory
        self._clock = clock
        self._codes: dict[str, _Code] = {}

    def new_code(self, principal: Principal, path: str) -> str:
        """A code that signs `principal` in, and then leads to `path`."""
        now = self._clock()
        self._codes = {digest: code for digest, code in self._codes.items() if code.expires > now}
        while len(self._codes) >= _MOST_CODES:
            self._codes.pop(next(iter(self._codes)))
        code = secrets.token_urlsafe(32)
        self._codes[_digest(code)] = _Code(principal.id, principal.key, path, now + CODE_LIFETIME_S)
        return code

    def redeem(self, code: str) -> tuple[str, str]:
        """The principal's id and the path of a code, which is then spent. Raises ApiError 401."""
        found = self._codes.pop(_digest(code), None)
        holder = self._directory.get(found.principal_id) if found else None
        if found is None or found.expires <= self._clock() or holder is None or holder.key != found.key:
            raise ApiError(
                401,
                "SignInCodeInvalid",
                "The code has been used, has expired or was never given out. `lazulite ui` makes a new one.",
                target="code",
            )
        return found.principal_id, found.path

    def begin(self, request: Request, response: Response, principal_id: str) -> None:
        """Set the cookie. It says whose it is and until when, and is signed."""
        claim = f"{principal_id}.{int(self._clock()) + SESSION_LIFETIME_S}"
        self._set_cookie(request, response, f"{claim}.{self._signature(principal_id, claim)}", SESSION_LIFETIME_S)

    def end(self, request: Request, response: Response) -> None:
        self._set_cookie(request, response, "", 0)

    def caller(self, request: Request) -> Principal | None:
        """Who is signed in, or None. Raises ApiError 403 where another site's page made the request."""
        path = request.url.path.lower()
        if path != COOKIE_PATH and not path.startswith(f"{COOKIE_PATH}/"):
            return None
        cookie = request.cookies.get(_cookie_name(request))
        principal_id = self._principal_id(cookie) if cookie else None
        principal = self._directory.get(principal_id) if principal_id else None
        if principal is not None:
            check_same_origin(request)
        return principal

    def _principal_id(self, cookie: str) -> str | None:
        claim, _, signature = cookie.rpartition(".")
        principal_id, _, expires = claim.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(principal_id, claim).encode()):
            return None
        return principal_id if int(expires) > self._clock() else None

    def _signature(self, principal_id: str, claim: str) -> str:
        """Of the claim, and of the principal's key as it is now: a replaced key ends the sessions of the old one."""
        holder = self._directory.get(principal_id)
        return hmac.new(self._key, f"{claim}.{holder.key if holder else ''}".encode(), sha256).hexdigest()

    def _set_cookie(self, request: Request, response: Response, value: str, max_age: int) -> None:
        response.set_cookie(
            _cookie_name(request),
            value,
            max_age=max_age,
            path=COOKIE_PATH,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )


def check_same_origin(request: Request) -> None:
    """Refuse what a page of another origin sends with our cookie: ports of one host share cookies, and "same site".

    Browsers say in Sec-Fetch-Site whose page asks; older ones send Origin with what changes something. Raises ApiError 403.
    """
    headers, safe = request.headers, request.method in _SAFE
    site = headers.get("sec-fetch-site")
    if site is not None:
        opened = safe and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
        own = site == "same-origin" or opened or (safe and site == "none")
    else:
        origin = headers.get("origin")
        # Behind a proxy that ends TLS the scheme may differ, and the host and port say all.
        own = safe if origin is None else origin.split("//", 1)[-1] == headers.get("host")
    if not own:
        raise ApiError(
            403,
            "CrossOriginRequest",
            "This request came from a page of another origin. With a browser's session only this server's own pages may call.",
            target="Origin",
        )


def _cookie_name(request: Request) -> str:
    """With the port in it: servers on several ports of one host see each other's cookies."""
    return f"lazulite_{re.sub(r'[^0-9]', '', str(request.url.port or ''))}"


def _digest(code: str) -> str:
    return sha256(code.encode()).hexdigest()
