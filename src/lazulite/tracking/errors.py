"""MLflow's errors: `{"error_code", "message"}`, with the status its own server gives each code."""

from __future__ import annotations

from starlette.responses import Response

from lazulite.core.errors import ApiError
from lazulite.core.web import JsonResponse

_STATUS = {
    "INVALID_PARAMETER_VALUE": 400,
    "BAD_REQUEST": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_CONFLICT": 409,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "INTERNAL_ERROR": 500,
    "INVALID_STATE": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
}
#: What the errors of other rooms (authentication, malformed bodies) are called here.
_BY_STATUS = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    409: "RESOURCE_CONFLICT",
    429: "REQUEST_LIMIT_EXCEEDED",
    501: "NOT_IMPLEMENTED",
    503: "TEMPORARILY_UNAVAILABLE",
}
#: What the server says of addresses that nothing answers.
_NO_ENDPOINT = ("ENDPOINT_NOT_FOUND", "InvalidResourceType", "NotFound")


def error(code: str, message: str) -> ApiError:
    return ApiError(_STATUS[code], code, message)


def invalid(message: str) -> ApiError:
    return error("INVALID_PARAMETER_VALUE", message)


def does_not_exist(message: str) -> ApiError:
    return error("RESOURCE_DOES_NOT_EXIST", message)


def already_exists(message: str) -> ApiError:
    return error("RESOURCE_ALREADY_EXISTS", message)


def no_such_run(run_id: str) -> ApiError:
    return does_not_exist(f"Run with id={run_id} not found")


def no_such_experiment(experiment_id: str) -> ApiError:
    return does_not_exist(f"No Experiment with id={experiment_id} exists")


def render(raised: ApiError) -> Response:
    """Any room's error in MLflow's shape."""
    code = raised.code if raised.code in _STATUS else _BY_STATUS.get(raised.status, "INTERNAL_ERROR")
    if raised.status == 404 and raised.code not in _NO_ENDPOINT:
        code = "RESOURCE_DOES_NOT_EXIST"
    return JsonResponse({"error_code": code, "message": raised.message}, raised.status, raised.headers)
