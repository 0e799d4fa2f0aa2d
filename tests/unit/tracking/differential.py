"""Sends the recorded requests to running servers and prints where an answer is not the recorded one.

    python -m tests.unit.tracking.differential URL [HEADERS_AS_JSON]

With `mlflow server`'s URL it says whether the record still holds; with a workspace's, whether that server is the same.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import httpx
from tests.unit.tracking.mlflow_requests import DIFFERENT, SAME
from tests.unit.tracking.test_differences import filled


def main(url: str, headers: str = "{}") -> int:
    with httpx.Client(headers=json.loads(headers), timeout=30) as http:

        def send(method: str, path: str, body: dict[str, Any]) -> httpx.Response:
            more = {"params": body} if method == "GET" else {"json": body}
            return http.request(method, f"{url.rstrip('/')}/api/2.0/mlflow/{path}", **more)

        names = _names(send)
        cases = [(case, {case[3:]}) for case in SAME]
        cases += [(case, {case[3:], (status, code)}) for case, status, code in DIFFERENT]
        differing = 0
        for (method, path, body, *_), wanted in cases:
            response = send(method, path, filled(body, names))
            answer = _code(response)
            if not any(response.status_code == status and answer in (code, "") for status, code in wanted):
                differing += 1
                print(method, path, json.dumps(body)[:80], response.status_code, answer, "recorded", wanted)
        print(f"{len(cases) - differing} of {len(cases)} as recorded")
        return differing


def _code(response: httpx.Response) -> str:
    try:
        return str(response.json().get("error_code", "")) if response.status_code >= 400 else ""
    except ValueError:
        return ""


def _names(send: Any) -> dict[str, str]:
    name = f"differential-{time.time_ns()}"

    def post(path: str, **body: Any) -> Any:
        return send("POST", path, body).raise_for_status().json()

    kept, gone = (post("experiments/create", name=f"{name}-{n}")["experiment_id"] for n in range(2))
    runs = [post("runs/create", experiment_id=e, start_time=1)["run"]["info"]["run_id"] for e in (kept, kept, gone)]
    post("runs/delete", run_id=runs[1])
    post("experiments/delete", experiment_id=gone)
    post("runs/log-parameter", run_id=runs[0], key="p", value="1")
    post("registered-models/create", name=name)
    return {"$e": kept, "$d": gone, "$r": runs[0], "$g": runs[1], "$rd": runs[2], "$0": "0" * 32, "$n": name}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) > 0)
