"""Metrics over traces, spans and assessments."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Api
from .test_evaluation_datasets import refused, v3

DURATIONS = (100, 200, 400, 1000)
MINUTE = 60_000


async def a_trace(api: Api, n: int, duration: int, **more: Any) -> str:
    info = {
        "trace_id": f"tr-{n}",
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}},
        "request_time": f"1970-01-01T00:{n:02d}:30Z",
        "execution_duration": f"{duration / 1000}s",
        "state": "ERROR" if n == 3 else "OK",
        "tags": {"mlflow.traceName": "even" if n % 2 == 0 else "odd"},
        "trace_metadata": {
            "mlflow.trace.session": f"s{n // 2}",
            "mlflow.trace.tokenUsage": f'{{"input_tokens": {n}, "total_tokens": {10 * n}}}',
        },
    }
    await v3(api, "POST", "traces", trace={"trace_info": {**info, **more}})
    return f"tr-{n}"


@pytest.fixture
async def traced(api: Api) -> Api:
    for n, duration in enumerate(DURATIONS):
        await a_trace(api, n, duration)
    return api


async def ask(api: Api, metric: str, *aggregations: Any, view: str = "TRACES", **more: Any) -> list[Any]:
    sent = [
        {"aggregation_type": "PERCENTILE", "percentile_value": one}
        if isinstance(one, float)
        else {"aggregation_type": one}
        for one in aggregations
    ]
    body = {"experiment_ids": ["0"], "view_type": view, "metric_name": metric, "aggregations": sent, **more}
    answer = await v3(api, "POST", "traces/metrics", **body)
    return [(point["dimensions"], point["values"]) for point in answer["data_points"]]


async def test_counts_by_name_and_status(traced: Api) -> None:
    assert await ask(traced, "trace_count", "COUNT") == [({}, {"COUNT": 4})]
    assert await ask(traced, "trace_count", "COUNT", dimensions=["trace_name", "trace_status"]) == [
        ({"trace_name": "even", "trace_status": "OK"}, {"COUNT": 2}),
        ({"trace_name": "odd", "trace_status": "ERROR"}, {"COUNT": 1}),
        ({"trace_name": "odd", "trace_status": "OK"}, {"COUNT": 1}),
    ]
    assert await ask(traced, "session_count", "COUNT") == [({}, {"COUNT": 2})]


async def test_percentiles_lie_between_values(traced: Api) -> None:
    ((_, values),) = await ask(traced, "latency", "AVG", "MIN", "MAX", 0.0, 50.0, 90.0, 100.0)
    assert values == {
        "AVG": 425, "MIN": 100, "MAX": 1000, "P0.0": 100, "P50.0": 300, "P90.0": pytest.approx(820), "P100.0": 1000,
    }  # fmt: skip
    by_name = await ask(traced, "latency", 50.0, dimensions=["trace_name"])
    assert by_name == [({"trace_name": "even"}, {"P50.0": 250}), ({"trace_name": "odd"}, {"P50.0": 600})]


async def test_tokens_follow_the_metadata(traced: Api) -> None:
    assert await ask(traced, "total_tokens", "SUM", "AVG") == [({}, {"SUM": 60, "AVG": 15})]
    assert await ask(traced, "output_tokens", "MAX") == []
    await a_trace(traced, 3, 1000, trace_metadata={"mlflow.trace.tokenUsage": '{"output_tokens": 7}'})
    assert await ask(traced, "output_tokens", "MAX") == [({}, {"MAX": 7})]
    assert await ask(traced, "total_tokens", "SUM") == [({}, {"SUM": 30})]
    await a_trace(traced, 3, 1000, trace_metadata={"mlflow.trace.tokenUsage": "not json"})
    await traced.post("traces/delete-traces", experiment_id="0", request_ids=["tr-2"])
    assert await ask(traced, "total_tokens", "SUM") == [({}, {"SUM": 10})]


async def test_time_in_buckets(traced: Api) -> None:
    found = await ask(
        traced, "trace_count", "COUNT", time_interval_seconds=120, start_time_ms=0, end_time_ms=3 * MINUTE
    )
    assert found == [
        ({"time_bucket": "1970-01-01T00:00:00+00:00"}, {"COUNT": 2}),
        ({"time_bucket": "1970-01-01T00:02:00+00:00"}, {"COUNT": 1}),
    ]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (["trace.status = 'OK'"], 3),
        (["trace.tag.`mlflow.traceName` = 'odd'"], 2),
        (["trace.metadata.mlflow.trace.session = 's1'", "trace.status = 'ERROR'"], 1),
    ],
)
async def test_filters(traced: Api, filters: list[str], count: int) -> None:
    assert await ask(traced, "trace_count", "COUNT", filters=filters) == [({}, {"COUNT": count})]


async def test_spans_and_what_they_cost(api: Api) -> None:
    spans = []
    for n, model in enumerate(("gpt", "gpt", "claude")):
        attributes = [
            {"key": "mlflow.llm.model", "value": {"stringValue": model}},
            {"key": "mlflow.llm.cost", "value": {"stringValue": f'{{"total_cost": {n + 0.5}}}'}},
        ]
        spans.append(
            {
                "traceId": "00" * 15 + "01",
                "spanId": f"{n:016x}",
                "name": f"call{n}",
                "startTimeUnixNano": str(n * 10**9),
                "endTimeUnixNano": str(n * 10**9 + (n + 1) * 10**8),
                "attributes": attributes,
            }
        )
    body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    headers = {"Authorization": "Bearer ada", "X-MLflow-Experiment-Id": "0"}
    response = await api.http.post(f"/mlflow/rest{api.workspace}/v1/traces", json=body, headers=headers)
    assert response.status_code == 200, response.text
    assert await ask(api, "span_count", "COUNT", view="SPANS", filters=["span.name = 'call1'"]) == [({}, {"COUNT": 1})]
    assert await ask(api, "latency", "AVG", 50.0, view="SPANS") == [({}, {"AVG": 200, "P50.0": 200})]
    assert await ask(api, "total_cost", "SUM", view="SPANS", dimensions=["span_model_name"]) == [
        ({"span_model_name": "claude"}, {"SUM": 2.5}),
        ({"span_model_name": "gpt"}, {"SUM": 2.0}),
    ]


async def test_assessments(traced: Api) -> None:
    for n, value in enumerate((True, "no", 0.5, "yes")):
        sent = {"assessment_name": "good" if n < 3 else "kind", "feedback": {"value": value}}
        await v3(traced, "POST", f"traces/tr-{n}/assessments", assessment=sent)
    assert await ask(traced, "assessment_value", "AVG", view="ASSESSMENTS", dimensions=["assessment_name"]) == [
        ({"assessment_name": "good"}, {"AVG": 0.5}),
        ({"assessment_name": "kind"}, {"AVG": 1.0}),
    ]
    counted = await ask(traced, "assessment_count", "COUNT", view="ASSESSMENTS", dimensions=["assessment_value"])
    assert {point["assessment_value"]: values["COUNT"] for point, values in counted} == {
        "true": 1, '"no"': 1, "0.5": 1, '"yes"': 1,
    }  # fmt: skip
    only = await ask(traced, "assessment_count", "COUNT", view="ASSESSMENTS", filters=["assessment.name = 'kind'"])
    assert only == [({}, {"COUNT": 1})]


@pytest.mark.parametrize(
    "wrong",
    [
        {"view_type": "DREAMS"},
        {"metric_name": "beauty"},
        {"aggregations": []},
        {"aggregations": [{"aggregation_type": "SUM"}]},
        {"aggregations": [{"aggregation_type": "COUNT", "percentile_value": 5}]},
        {"metric_name": "latency", "aggregations": [{"aggregation_type": "PERCENTILE"}]},
        {"metric_name": "latency", "aggregations": [{"aggregation_type": "PERCENTILE", "percentile_value": 101}]},
        {"dimensions": ["span_name"]},
        {"time_interval_seconds": 60},
        {"filters": ["trace.status != 'OK'"]},
        {"filters": ["trace.colour = 'red'"]},
        {"filters": ["trace.tag = 'red'"]},
        {"filters": ["trace.status.x = 'red'"]},
        {"filters": ["span.name = 'x'"]},
        {"filters": ["trace.status = 'OK' AND trace.status = 'OK'"]},
        {"experiment_ids": None},
        {"experiment_ids": ["x"]},
    ],
)
async def test_what_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    body = {
        "experiment_ids": ["0"],
        "view_type": "TRACES",
        "metric_name": "trace_count",
        "aggregations": [{"aggregation_type": "COUNT"}],
    }
    assert await refused(api, "POST", "traces/metrics", **{**body, **wrong}) == (400, "INVALID_PARAMETER_VALUE")
