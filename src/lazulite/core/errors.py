"""The errors that every gateway translates at its edge, each into its own shape."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class Refusal(Exception):
    """What a room refuses, whichever way the request came: an HTTP status, a code and a message for the client.

    Rooms below the gateways raise subclasses that say their own `status` and `code`.
    """

    status = 400
    code = "BadRequest"

    @property
    def message(self) -> str:
        return str(self)

    def as_api_error(self) -> ApiError:
        return ApiError(self.status, self.code, self.message)


class ApiError(Refusal):
    """A refusal in Azure's error shape.

    `status` is the HTTP status, `code` Azure's error code, `target` the field at fault (a JSON path of the request
    body, a header or a query parameter) and `details` further `{"code", "message"}` items.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        target: str | None = None,
        details: Iterable[dict[str, Any]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.target = target
        self.details = list(details)
        self.headers = headers or {}

    def as_api_error(self) -> ApiError:
        return self

    def body(self) -> dict[str, Any]:
        """The JSON document Azure Resource Manager sends."""
        return {
            "error": {"code": self.code, "message": self.message, "target": self.target, "details": self.details},
        }


def bad_request(message: str, target: str | None = None, *, code: str = "BadRequest") -> ApiError:
    return ApiError(400, code, message, target=target)


def validation(message: str, target: str | None = None) -> ApiError:
    return ApiError(400, "ValidationError", message, target=target)


def not_found(message: str, target: str | None = None, *, code: str = "ResourceNotFound") -> ApiError:
    return ApiError(404, code, message, target=target)


def conflict(message: str, target: str | None = None, *, code: str = "Conflict") -> ApiError:
    return ApiError(409, code, message, target=target)


def not_implemented(operation: str) -> ApiError:
    """What is not built yet says so, naming the operation."""
    return ApiError(
        501,
        "NotImplemented",
        f"{operation} is not built in this version of Lazulite. docs/coverage.md lists what is.",
        target=operation,
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x' or 'y'?` for the names closest to `name`, or a list of what there is, or nothing."""
    names = sorted(known)
    spelled = {n.lower(): n for n in names}
    close = difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=0.5)
    if close:
        return " Did you mean " + " or ".join(f"'{spelled[n]}'" for n in close) + "?"
    if names:
        more = ", ..." if len(names) > 8 else ""
        return " There is: " + ", ".join(f"'{n}'" for n in names[:8]) + more + "."
    return ""
