"""Requests to webhooks, with what MLflow 3.17's own server answers.

They stand in the order they were recorded in. `$e` is an experiment with the trace `$t`, `$w` a webhook. Paths are below `api/`.
"""

from __future__ import annotations

from .evaluation_requests import Case

SAME: tuple[Case, ...] = (
    (
        "POST",
        "2.0/mlflow/webhooks",
        {"name": "h", "url": "https://8.8.8.8/x", "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}]},
        200,
        "",
    ),
    (
        "POST",
        "2.0/mlflow/webhooks",
        {"url": "https://8.8.8.8/x", "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}]},
        400,
        "INVALID_PARAMETER_VALUE",
    ),
    (
        "POST",
        "2.0/mlflow/webhooks",
        {"name": "-", "url": "https://8.8.8.8/x", "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}]},
        400,
        "INVALID_PARAMETER_VALUE",
    ),
    (
        "POST",
        "2.0/mlflow/webhooks",
        {"name": "h", "url": "http://8.8.8.8/", "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}]},
        400,
        "INVALID_PARAMETER_VALUE",
    ),
    (
        "POST",
        "2.0/mlflow/webhooks",
        {"name": "h", "url": "https://127.0.0.1/", "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}]},
        400,
        "INVALID_PARAMETER_VALUE",
    ),
    (
        "POST",
        "2.0/mlflow/webhooks",
        {"name": "h", "url": "https://", "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}]},
        400,
        "INVALID_PARAMETER_VALUE",
    ),
    (
        "POST",
        "2.0/mlflow/webhooks",
        {"name": "h", "url": "nonsense", "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}]},
        400,
        "INVALID_PARAMETER_VALUE",
    ),
    (
        "POST",
        "2.0/mlflow/webhooks",
        {"name": "h", "url": "https://8.8.8.8/x", "events": []},
        400,
        "INVALID_PARAMETER_VALUE",
    ),
    (
        "POST",
        "2.0/mlflow/webhooks",
        {"name": "h", "url": "https://8.8.8.8/x", "events": [{"entity": "MODEL_VERSION", "action": "SET"}]},
        400,
        "INVALID_PARAMETER_VALUE",
    ),
    (
        "POST",
        "2.0/mlflow/webhooks",
        {
            "name": "h",
            "url": "https://8.8.8.8/x",
            "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}],
            "status": "DISABLED",
        },
        200,
        "",
    ),
    ("GET", "2.0/mlflow/webhooks", {}, 200, ""),
    ("GET", "2.0/mlflow/webhooks", {"max_results": 0}, 200, ""),
    ("GET", "2.0/mlflow/webhooks", {"max_results": -1}, 400, "INVALID_PARAMETER_VALUE"),
    ("GET", "2.0/mlflow/webhooks", {"max_results": 1001}, 400, "INVALID_PARAMETER_VALUE"),
    ("GET", "2.0/mlflow/webhooks/no", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ("PATCH", "2.0/mlflow/webhooks/no", {"name": "x"}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ("DELETE", "2.0/mlflow/webhooks/no", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ("POST", "2.0/mlflow/webhooks/no/test", {}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ("PATCH", "2.0/mlflow/webhooks/$w", {"name": "-"}, 400, "INVALID_PARAMETER_VALUE"),
    ("PATCH", "2.0/mlflow/webhooks/$w", {"url": "http://x"}, 400, "INVALID_PARAMETER_VALUE"),
    ("PATCH", "2.0/mlflow/webhooks/$w", {"description": "z"}, 200, ""),
    ("PATCH", "2.0/mlflow/webhooks/$w", {}, 200, ""),
)
