"""Webhooks: kept, told of changes once these are durable, signed, and never sent where they must not go."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from lazulite.store import webhooks as store
from lazulite.store.database import Database
from lazulite.store.tables import secrets
from lazulite.tracking.call import TrackingContext
from lazulite.tracking.routes import routes
from lazulite.tracking.webhook_delivery import Refused, WebhookCourier, WebhookSender
from lazulite.tracking.webhook_events import EVENTS
from lazulite.vault.sealed import SealedSecrets

from .conftest import Api, Harness, MemoryArtifacts, OwnAccounts


@dataclass
class Receiver:
    """An HTTP server that answers `statuses` in turn, then 200, and keeps what came."""

    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""
    came: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append((dict(self.headers), body))
            found.came.set()
            self.send_response(found.statuses.pop(0) if found.statuses else 200)
            self.end_headers()
            self.wfile.write(b"thanks")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook?a=b"
    yield found
    server.shutdown()
    server.server_close()


@dataclass
class Clock:
    now: int = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def sender() -> WebhookSender:
    return WebhookSender(SealedSecrets(bytes(32)), private=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def courier(database: Database, sender: WebhookSender, clock: Clock) -> WebhookCourier:
    return WebhookCourier(database, sender, clock)


def event(name: str) -> dict[str, str]:
    entity, action = name.upper().split(".")
    return {"entity": entity, "action": action}


async def a_webhook(api: Api, url: str, *events: str, **more: Any) -> str:
    made = await api.post("webhooks", name="hook", url=url, events=[event(one) for one in events], **more)
    return str(made["webhook"]["webhook_id"])


def told(receiver: Receiver) -> list[tuple[str, Any]]:
    bodies = [json.loads(body) for _, body in receiver.got]
    return [(f"{body['entity']}.{body['action']}", body["data"]) for body in bodies]


async def test_a_webhook_is_kept_without_its_secret_showing(api: Api, database: Database) -> None:
    webhook_id = await a_webhook(api, "http://localhost:9/x", "model_version.created", secret="s3cret", description="d")
    found = (await api.get(f"webhooks/{webhook_id}"))["webhook"]
    assert "s3cret" not in json.dumps(found)
    assert (found["name"], found["status"], found["description"]) == ("hook", "ACTIVE", "d")
    assert found["events"] == [event("model_version.created")]
    sealed = await database.read(lambda c: list(c.scalars(sa.select(secrets.c.sealed))))
    assert len(sealed) == 1
    assert b"s3cret" not in sealed[0]
    changed = await api.patch(
        f"webhooks/{webhook_id}", name="other", status="DISABLED", events=[event("prompt.created")], description=""
    )
    assert changed["webhook"] | {"last_updated_timestamp": 0} == {
        "webhook_id": webhook_id,
        "name": "other",
        "url": "http://localhost:9/x",
        "events": [event("prompt.created")],
        "status": "DISABLED",
        "creation_timestamp": found["creation_timestamp"],
        "last_updated_timestamp": 0,
    }
    await api.delete(f"webhooks/{webhook_id}")
    assert (await api.refused("GET", f"webhooks/{webhook_id}"))[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert await database.read(lambda c: list(c.scalars(sa.select(secrets.c.sealed)))) == []


async def test_pages(api: Api) -> None:
    ids = [await a_webhook(api, "http://localhost:9", "prompt.created") for _ in range(3)]
    first = await api.get("webhooks", max_results=2)
    second = await api.get("webhooks", max_results=2, page_token=first["next_page_token"])
    assert [one["webhook_id"] for one in first["webhooks"] + second["webhooks"]] == ids[::-1]
    assert "next_page_token" not in second
    assert (await api.refused("GET", "webhooks", max_results=1001))[0] == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "-x"},
        {"name": "x" * 64},
        {"name": "a b"},
        {"url": "ftp://localhost/x"},
        {"url": "http://"},
        {"url": "http://[::1"},
        {"url": "http://h:99999/"},
        {"url": "http://h/\r\nX: y"},
        {"events": []},
        {"events": [{"entity": "MODEL_VERSION", "action": "EXCEEDED"}]},
        {"events": [{"entity": "CAT", "action": "CREATED"}]},
        {"status": "ASLEEP"},
    ],
)
async def test_what_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    sent = {"name": "hook", "url": "http://localhost:9", "events": [event("prompt.created")]}
    assert (await api.refused("POST", "webhooks", **{**sent, **wrong}))[:2] == (400, "INVALID_PARAMETER_VALUE")


async def test_jobs_make_no_webhooks(api: Api) -> None:
    job = api.as_job(await api.a_run())
    sent = {"name": "hook", "url": "http://localhost:9", "events": [event("prompt.created")]}
    assert (await job.refused("POST", "webhooks", **sent))[0] == 403
    webhook_id = await a_webhook(api, "http://localhost:9", "prompt.created")
    assert (await job.refused("PATCH", f"webhooks/{webhook_id}", name="x"))[0] == 403
    assert (await job.refused("DELETE", f"webhooks/{webhook_id}"))[0] == 403
    assert (await job.refused("POST", f"webhooks/{webhook_id}/test"))[0] == 403


async def test_deliveries_are_signed(api: Api, receiver: Receiver, courier: WebhookCourier, clock: Clock) -> None:
    await a_webhook(api, receiver.url, "registered_model.created", secret="s3cret")
    await api.post("registered-models/create", name="m", tags=[{"key": "k", "value": "v"}], description="d")
    assert receiver.got == []
    assert await courier.deliver_due() is None
    ((headers, body),) = receiver.got
    assert told(receiver) == [
        ("registered_model.created", {"name": "m", "tags": {"k": "v"}, "description": "d"}),
    ]
    assert headers["X-MLflow-Timestamp"] == str(clock.now // 1000)
    text = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.{body.decode()}"
    digest = hmac.new(b"s3cret", text.encode(), hashlib.sha256).digest()
    assert headers["X-MLflow-Signature"] == f"v1,{base64.b64encode(digest).decode()}"
    await courier.deliver_due()
    assert len(receiver.got) == 1


async def test_every_change_of_the_registry_is_told(api: Api, receiver: Receiver, courier: WebhookCourier) -> None:
    await a_webhook(api, receiver.url, *EVENTS)
    run = await api.a_run()
    source = f"mlflow-artifacts:/0/{run}/artifacts/m"
    await api.post("registered-models/create", name="m")
    await api.post("model-versions/create", name="m", source=source, run_id=run)
    await api.post("registered-models/set-tag", name="m", key="k", value="v")
    await api.post("model-versions/set-tag", name="m", version="1", key="k", value="v")
    await api.delete("model-versions/delete-tag", name="m", version="1", key="k")
    await api.post("registered-models/alias", name="m", alias="best", version="1")
    await api.delete("registered-models/alias", name="m", alias="best")
    await courier.deliver_due()
    assert sorted(told(receiver), key=lambda one: one[0]) == [
        ("model_version.created", {
            "name": "m", "version": "1", "source": source, "run_id": run, "tags": {}, "description": None,
        }),
        ("model_version_alias.created", {"name": "m", "alias": "best", "version": "1"}),
        ("model_version_alias.deleted", {"name": "m", "alias": "best"}),
        ("model_version_tag.deleted", {"name": "m", "version": "1", "key": "k"}),
        ("model_version_tag.set", {"name": "m", "version": "1", "key": "k", "value": "v"}),
        ("registered_model.created", {"name": "m", "tags": {}, "description": None}),
    ]  # fmt: skip


async def test_prompts_have_events_of_their_own(api: Api, receiver: Receiver, courier: WebhookCourier) -> None:
    await a_webhook(api, receiver.url, *EVENTS)
    prompt = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    text = {"key": "mlflow.prompt.text", "value": "Hello {{name}}"}
    await api.post("registered-models/create", name="p", tags=[prompt, {"key": "k", "value": "v"}])
    await api.post("model-versions/create", name="p", source="dummy-source", tags=[prompt, text])
    await api.post("registered-models/set-tag", name="p", key="k", value="w")
    await api.delete("registered-models/delete-tag", name="p", key="k")
    await api.post("model-versions/set-tag", name="p", version="1", key="k", value="v")
    await api.post("registered-models/alias", name="p", alias="live", version="1")
    await courier.deliver_due()
    assert sorted(told(receiver), key=lambda one: one[0]) == [
        ("prompt.created", {"name": "p", "tags": {"k": "v"}, "description": None}),
        ("prompt_alias.created", {"name": "p", "alias": "live", "version": "1"}),
        ("prompt_tag.deleted", {"name": "p", "key": "k"}),
        ("prompt_tag.set", {"name": "p", "key": "k", "value": "w"}),
        ("prompt_version.created", {
            "name": "p", "version": "1", "template": "Hello {{name}}", "tags": {}, "description": None,
        }),
        ("prompt_version_tag.set", {"name": "p", "version": "1", "key": "k", "value": "v"}),
    ]  # fmt: skip


async def test_only_who_wants_an_event_is_told(api: Api, receiver: Receiver, courier: WebhookCourier) -> None:
    await a_webhook(api, receiver.url, "model_version.created")
    await a_webhook(api, receiver.url, "registered_model.created", status="DISABLED")
    other = Api(api.http, workspace=api.workspace.replace("/ws", "/other"))
    await a_webhook(other, receiver.url, "registered_model.created")
    await api.post("registered-models/create", name="m")
    await api.refused("POST", "registered-models/create", name="m")
    assert await courier.deliver_due() is None
    assert receiver.got == []


async def test_what_fails_is_tried_again_for_a_while(
    api: Api, receiver: Receiver, courier: WebhookCourier, clock: Clock, database: Database
) -> None:
    await a_webhook(api, receiver.url, "registered_model.created")
    await api.post("registered-models/create", name="m")
    receiver.statuses = [503, 429, 200]
    assert await courier.deliver_due() == 1.0
    clock.now += 1000
    assert await courier.deliver_due() == 2.0
    clock.now += 2000
    assert await courier.deliver_due() is None
    assert len({headers["X-MLflow-Delivery-Id"] for headers, _ in receiver.got}) == 1
    receiver.statuses = [500] * 9
    await api.post("registered-models/create", name="n")
    for _ in range(9):
        await courier.deliver_due()
        clock.now += 10_000
    assert len(receiver.got) == 3 + 4
    assert await database.read(store.next_due) is None


async def test_what_is_refused_for_good_is_not_tried_again(
    api: Api, receiver: Receiver, courier: WebhookCourier
) -> None:
    await a_webhook(api, receiver.url, "registered_model.created")
    receiver.statuses = [400]
    await api.post("registered-models/create", name="m")
    assert await courier.deliver_due() is None
    assert len(receiver.got) == 1


async def test_an_example_is_sent_at_once(api: Api, receiver: Receiver) -> None:
    webhook_id = await a_webhook(api, receiver.url, "registered_model.created")
    answer = (await api.post(f"webhooks/{webhook_id}/test"))["result"]
    assert answer == {"success": True, "response_status": 200, "response_body": "thanks"}
    await api.post(f"webhooks/{webhook_id}/test", event=event("prompt_alias.created"))
    assert [name for name, _ in told(receiver)] == ["registered_model.created", "prompt_alias.created"]
    assert receiver.got[1][0].get("X-MLflow-Signature") is None
    receiver.statuses = [404]
    failed = (await api.post(f"webhooks/{webhook_id}/test"))["result"]
    assert (failed["success"], failed["response_status"]) == (False, 404)


async def test_without_leave_nothing_goes_to_private_addresses(
    database: Database, artifacts: MemoryArtifacts, receiver: Receiver
) -> None:
    strict = WebhookSender(SealedSecrets(bytes(32)))
    harness = Harness(routes(TrackingContext(database, artifacts, "localhost", strict, OwnAccounts())))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(harness), base_url="http://test") as http:
        api = Api(http)
        for url in (receiver.url, "https://127.0.0.1/x", "https://localhost/x", "http://example.org/x"):
            sent = {"name": "hook", "url": url, "events": [event("registered_model.created")]}
            assert (await api.refused("POST", "webhooks", **sent))[0] == 400, url


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "2130706433",
     "[::1]", "[fe80::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost", "a.localhost"],
)  # fmt: skip
def test_hosts_that_are_not_public(host: str) -> None:
    with pytest.raises(Refused, match="public"):
        WebhookSender(SealedSecrets(bytes(32))).check(f"https://{host}/x")


@pytest.mark.parametrize("host", ["example.org", "8.8.8.8", "[2606:4700::1111]"])
def test_hosts_that_may_be_public(host: str) -> None:
    WebhookSender(SealedSecrets(bytes(32))).check(f"https://{host}:8443/x")


def test_a_name_that_means_a_private_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    port = int(receiver.url.split(":")[2].split("/")[0])

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    webhook = store.Webhook(1, "s", "w", "hook", f"https://rebound.example:{port}/", None, "ACTIVE", 0, 0)
    with pytest.raises(Refused, match="not a public IP") as refused:
        WebhookSender(SealedSecrets(bytes(32))).send(webhook, None, "d", b"{}", 0)
    assert not refused.value.again
    assert receiver.got == []


async def test_the_worker_wakes_after_a_commit(api: Api, receiver: Receiver, courier: WebhookCourier) -> None:
    await a_webhook(api, receiver.url, "registered_model.created")
    await courier.start()
    try:
        await api.post("registered-models/create", name="m")
        assert await asyncio.to_thread(receiver.came.wait, 10)
    finally:
        await courier.stop()
    assert [name for name, _ in told(receiver)] == ["registered_model.created"]
