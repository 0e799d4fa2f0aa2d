"""Traces over MLflow's REST API and OpenTelemetry's."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE = bytes(range(16))
TRACE_ID = f"tr-{TRACE.hex()}"


def an_export(**attributes: Any) -> ExportTraceServiceRequest:
    """A root span of a second and a child that failed."""
    request = ExportTraceServiceRequest()
    found = request.resource_spans.add().scope_spans.add().spans
    root = found.add(trace_id=TRACE, span_id=b"rootroot", name="root", start_time_unix_nano=5_000_000_000, kind=1)
    root.end_time_unix_nano = 6_000_000_000
    root.attributes.add(key="mlflow.spanInputs").value.string_value = "question"
    for key, value in attributes.items():
        kind = {str: "string_value", int: "int_value", float: "double_value", bool: "bool_value"}[type(value)]
        setattr(root.attributes.add(key=key).value, kind, value)
    root.attributes.add(key="list").value.array_value.values.add().int_value = -7
    root.events.add(name="began", time_unix_nano=5_000_000_001).attributes.add(key="n").value.int_value = 1
    child = found.add(trace_id=TRACE, span_id=b"childchi", parent_span_id=b"rootroot", name="child")
    child.start_time_unix_nano, child.end_time_unix_nano, child.status.code = 5_100_000_000, 5_200_000_000, 2
    return request


async def export(api: Any, body: bytes, kind: str = "application/x-protobuf", **headers: str) -> Any:
    sent = {"Authorization": f"Bearer {api.token}", "Content-Type": kind, "X-MLflow-Experiment-Id": "0", **headers}
    return await api.http.post(f"/mlflow/rest{api.workspace}/v1/traces", content=body, headers=sent)


async def v3(api: Any, method: str, path: str, **more: Any) -> Any:
    response = await api.call(method, path, api="api/3.0/mlflow/", **more)
    assert response.status_code == 200, response.text
    return response.json()


async def found_by(api: Any, text: str) -> int:
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}
    return len((await v3(api, "POST", "traces/search", json={"locations": [place], "filter": text}))["traces"])


async def test_spans_make_their_trace(api: Any) -> None:
    response = await export(api, an_export(model="gpt", temperature=0.5, tries=-3, ok=True).SerializeToString())
    assert (response.status_code, response.content) == (200, b"")
    trace = (await v3(api, "GET", "traces/get", params={"trace_id": TRACE_ID}))["trace"]
    info = trace["trace_info"]
    assert (info["state"], info["request_time"], info["execution_duration"]) == (
        "OK",
        "1970-01-01T00:00:05.000Z",
        "1.000s",
    )
    assert info["request_preview"] == "question"
    assert info["tags"]["mlflow.traceName"] == "root"
    root, child = trace["spans"]
    values = {item["key"]: item["value"] for item in root["attributes"]}
    assert values["tries"] == {"int_value": -3}
    assert values["temperature"] == {"double_value": 0.5}
    assert values["ok"] == {"bool_value": True}
    assert values["list"] == {"array_value": {"values": [{"int_value": -7}]}}
    assert root["kind"] == "SPAN_KIND_INTERNAL"
    assert root["events"][0]["name"] == "began"
    assert child["status"] == {"code": "STATUS_CODE_ERROR"}


async def test_spans_in_json_and_compressed_are_the_same(api: Any) -> None:
    span = {
        "traceId": TRACE.hex(),
        "spanId": b"rootroot".hex(),
        "name": "root",
        "startTimeUnixNano": "5000000000",
        "endTimeUnixNano": "6000000000",
        "attributes": [{"key": "n", "value": {"intValue": "4"}}],
        "status": {"code": 2},
    }
    body = gzip.compress(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode())
    response = await export(api, body, "application/json", **{"Content-Encoding": "gzip"})
    assert response.status_code == 200
    assert (await v3(api, "GET", f"traces/{TRACE_ID}"))["trace"]["trace_info"]["state"] == "ERROR"
    assert await found_by(api, "span.attributes.n = '4'") == 1


@pytest.mark.parametrize(
    ("body", "kind", "headers"),
    [
        (b"\xff\xff", "application/x-protobuf", {}),
        (b"\x0a\xff", "application/x-protobuf", {}),
        (b"{}", "application/json", {}),
        (b"[[[", "application/json", {}),
        (b"", "application/x-protobuf", {}),
        (b"", "text/plain", {}),
        (b"no gzip", "application/x-protobuf", {"Content-Encoding": "gzip"}),
        (b"", "application/x-protobuf", {"Content-Encoding": "br"}),
        (an_export().SerializeToString()[:-5], "application/x-protobuf", {}),
    ],
)
async def test_what_is_no_export_is_refused(api: Any, body: bytes, kind: str, headers: dict[str, str]) -> None:
    response = await export(api, body, kind, **headers)
    assert (response.status_code, response.json()["error_code"]) == (400, "BAD_REQUEST")


async def test_the_last_word_on_a_trace_is_its_clients(api: Any) -> None:
    await export(api, an_export().SerializeToString())
    info = {
        "trace_id": TRACE_ID,
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}},
        "request_time": "2026-01-01T00:00:00.250Z",
        "execution_duration": "1.5s",
        "state": "ERROR",
        "tags": {"kind": "chat"},
        "trace_metadata": {"mlflow.sourceRun": "r1"},
        "assessments": [{"assessment_name": "good", "feedback": {"value": True}}],
    }
    await v3(api, "POST", "traces", json={"trace": {"trace_info": info}})
    await export(api, an_export().SerializeToString())
    seen = (await v3(api, "GET", f"traces/{TRACE_ID}"))["trace"]["trace_info"]
    assert (seen["state"], seen["request_time"], seen["execution_duration"]) == (
        "ERROR",
        "2026-01-01T00:00:00.250Z",
        "1.500s",
    )
    assert seen["tags"]["kind"] == "chat"
    assert [one["assessment_name"] for one in seen["assessments"]] == ["good"]
    old = (await api.get(f"traces/{TRACE_ID}/info"))["trace_info"]
    assert (old["request_id"], old["status"], old["execution_time_ms"]) == (TRACE_ID, "ERROR", 1500)


async def test_searching(api: Any) -> None:
    await export(api, an_export(model="gpt").SerializeToString())
    await api.patch(f"traces/{TRACE_ID}/tags", key="kind", value="chat")
    path = f"traces/{TRACE_ID}/assessments"
    await v3(api, "POST", path, json={"assessment": {"assessment_name": "score", "feedback": {"value": 0.75}}})
    await v3(api, "POST", path, json={"assessment": {"assessment_name": "ok", "feedback": {"value": True}}})
    for text in (
        "name = 'root'",
        "trace.status = 'OK'",
        "status IN ('OK', 'ERROR')",
        "tags.kind LIKE 'ch%' AND execution_time_ms >= 1000",
        "timestamp_ms < 6000 AND end_time_ms = 6000",
        "span.name = 'child' AND span.status = 'ERROR'",
        "span.attributes.model RLIKE '^g'",
        "trace.text LIKE '%question%'",
        "feedback.score > 0.5",
        "feedback.ok = 'true'",
        "feedback.none IS NULL",
        "metadata.none IS NULL",
    ):
        assert await found_by(api, text) == 1, text
    for text in (
        "span.name = 'root' AND span.status = 'ERROR'",
        "feedback.score > 0.8",
        "expectation.score > 0.5",
        "run_id = 'r'",
        "span.content LIKE '%nothing like it%'",
    ):
        assert await found_by(api, text) == 0, text


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("bogus = 'x'", 400),
        ("span.bogus = 'x'", 400),
        ("status > 'x'", 400),
        ("feedback.good = 0.5", 400),
        ("name RLIKE '('", 400),
        ("name RLIKE '(a+)+$'", 501),
    ],
)
async def test_searches_that_are_refused(api: Any, text: str, status: int) -> None:
    place = {"mlflow_experiment": {"experiment_id": "0"}}
    response = await api.call(
        "POST", "traces/search", api="api/3.0/mlflow/", json={"locations": [place], "filter": text}
    )
    assert response.status_code == status, response.text


async def test_assessments_are_changed_overridden_and_deleted(api: Any) -> None:
    await export(api, an_export().SerializeToString())
    path = f"traces/{TRACE_ID}/assessments"
    sent = {"assessment_name": "good", "feedback": {"value": True}, "metadata": {"a": "1"}}
    first = (await v3(api, "POST", path, json={"assessment": sent}))["assessment"]
    assert first["valid"] is True
    own = f"{path}/{first['assessment_id']}"
    update = {"assessment": {"feedback": {"value": False}, "metadata": {"b": "2"}}, "update_mask": "feedback,metadata"}
    changed = (await v3(api, "PATCH", own, json=update))["assessment"]
    assert (changed["feedback"], changed["metadata"]) == ({"value": False}, {"a": "1", "b": "2"})
    wrong = {"assessment": {"expectation": {"value": 1}}, "update_mask": "expectation"}
    assert (await api.call("PATCH", own, api="api/3.0/mlflow/", json=wrong)).status_code == 400
    over = {"assessment": {**sent, "overrides": first["assessment_id"]}}
    second = (await v3(api, "POST", path, json=over))["assessment"]
    assert (await v3(api, "GET", own))["assessment"]["valid"] is False
    await v3(api, "DELETE", f"{path}/{second['assessment_id']}")
    assert (await v3(api, "GET", own))["assessment"]["valid"] is True
    assert (await api.call("GET", f"{path}/nope", api="api/3.0/mlflow/")).status_code == 404


async def test_a_run_has_its_traces_and_deletion_takes_all(api: Any) -> None:
    run_id = await api.a_run()
    await export(api, an_export().SerializeToString(), **{"X-MLflow-Run-Id": run_id})
    assert await found_by(api, f"run_id = '{run_id}'") == 1
    assert (await api.refused("POST", "traces/delete-traces", experiment_id="0"))[:2] == (
        400,
        "INVALID_PARAMETER_VALUE",
    )
    assert await api.post("traces/delete-traces", experiment_id="0", request_ids=[TRACE_ID]) == {"traces_deleted": 1}
    assert (await api.refused("GET", f"traces/{TRACE_ID}/info"))[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert await found_by(api, "") == 0


async def test_traces_of_version_2(api: Any) -> None:
    began = await api.post(
        "traces", experiment_id="0", timestamp_ms=5, request_metadata=[{"key": "k", "value": "v"}], tags=[]
    )
    trace_id = began["trace_info"]["request_id"]
    ended = await api.patch(f"traces/{trace_id}", timestamp_ms=9, status="OK", request_metadata=[], tags=[])
    assert (ended["trace_info"]["status"], ended["trace_info"]["execution_time_ms"]) == ("OK", 4)
    found = (await api.get("traces", experiment_ids=["0"], filter="status = 'OK'"))["traces"]
    assert [one["request_id"] for one in found] == [trace_id]
    location = next(t["value"] for t in found[0]["tags"] if t["key"] == "mlflow.artifactLocation")
    path = location.removeprefix("mlflow-artifacts:/") + "/traces.json"
    put = await api.call("PUT", path, api="api/2.0/mlflow-artifacts/artifacts/", content=b'{"spans": []}')
    assert put.status_code == 200
    read = await api.call("GET", "get-trace-artifact", params={"request_id": trace_id})
    assert read.json() == {"spans": []}


async def test_a_job_writes_to_its_own_traces_alone(api: Any) -> None:
    run_id = await api.a_run()
    job = api.as_job(run_id)
    await export(api, an_export().SerializeToString())
    assert (await export(job, an_export().SerializeToString())).status_code == 403
    assert (await job.refused("PATCH", f"traces/{TRACE_ID}/tags", key="a", value="b"))[:2] == (403, "PERMISSION_DENIED")
    assert (await job.refused("POST", "traces/delete-traces", experiment_id="0", max_timestamp_millis=1))[0] == 403
    other = an_export().SerializeToString().replace(TRACE, TRACE[::-1])
    assert (await export(job, other)).status_code == 200
    await job.patch(f"traces/tr-{TRACE[::-1].hex()}/tags", key="a", value="b")


async def test_usage_is_summed_over_the_topmost_spans_that_have_it(api: Any) -> None:
    usage = '{"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}'
    sent = an_export(**{"mlflow.chat.tokenUsage": usage})
    below = sent.resource_spans[0].scope_spans[0].spans[1].attributes.add(key="mlflow.chat.tokenUsage")
    below.value.string_value = usage
    await export(api, sent.SerializeToString())
    info = (await v3(api, "GET", f"traces/{TRACE_ID}"))["trace"]["trace_info"]
    assert json.loads(info["trace_metadata"]["mlflow.trace.tokenUsage"])["total_tokens"] == 7


async def test_filters_that_go_together(api: Any) -> None:
    await export(api, an_export().SerializeToString())
    found = await v3(
        api,
        "POST",
        "traces/calculate-filter-correlation",
        json={"experiment_ids": ["0"], "filter_string1": "status = 'OK'", "filter_string2": "name = 'root'"},
    )
    assert (found["joint_count"], found["total_count"], found["npmi"]) == (1, 1, 1.0)
