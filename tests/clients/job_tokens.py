"""Jobs that run until they are cancelled, and requests with their tokens."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import Any

from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Job
from tests.clients.small_jobs import log
from tests.server_fixture import RunningServer


@dataclass(frozen=True)
class Held:
    """A job that runs, the token it has, and where it gets one of its submitter (empty where nowhere)."""

    job: Job
    token: str
    obo: str

    @property
    def name(self) -> str:
        return str(self.job.name)


def held(server: RunningServer, client: MLClient, **more: Any) -> Held:
    """Start a job that goes on until it is cancelled, and wait until it has said its token."""
    job = command(command='echo "token:$AZUREML_RUN_TOKEN:$OBO_ENDPOINT"; exec sleep 600', environment="bare:1", **more)
    made = client.jobs.create_or_update(job)
    deadline = time.monotonic() + 120
    while "token:" not in (text := log(server, made)) or not text.endswith("\n"):
        assert time.monotonic() < deadline, client.jobs.get(made.name).status
        time.sleep(0.05)
    token, _, obo = text.split("token:")[1].strip().partition(":")
    return Held(made, token, obo)


def ask(
    server: RunningServer, token: str, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, str, Message]:
    """Status, body and headers of an answer; `body` is sent as JSON unless it is bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    url = path if path.startswith("http") else f"{server.https_url}{path}"
    request = urllib.request.Request(url, data=data, method=method, headers=sent)
    context = ssl.create_default_context(cafile=server.bundle) if url.startswith("https") else None
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, answer.read().decode(errors="replace"), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace"), error.headers


def renewed(server: RunningServer, key: str, lifetime_s: int | None = None) -> tuple[int, str]:
    """Status of the managed-identity endpoint's answer to a key, and the token or the error's text."""
    query = f"?resource=https://management.azure.com{'' if lifetime_s is None else f'&lifetime_s={lifetime_s}'}"
    status, text, _ = ask(server, "", "GET", f"{server.http_url}/msi/token{query}", X_IDENTITY_HEADER=key)
    return status, json.loads(text)["access_token"] if status == 200 else text
