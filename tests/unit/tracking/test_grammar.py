"""Our parser of the search language, beside MLflow's own."""

from __future__ import annotations

import time

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import SearchUtils

from lazulite.core.errors import ApiError
from lazulite.tracking.run_search import RUNS

GOOD = [
    "metrics.auc > 0.8 and tags.model_type = 'LogisticRegression'",
    "metric.a>=1 AND params.b!='x' AND attribute.status='RUNNING'",
    "params.`a b` LIKE '%x%'",
    'tags."a.b.c" ILIKE "Y"',
    "tags.mlflow.source.name = 'it''s'",
    "run_id IN ('a', 'b')",
    "attributes.run_id NOT IN ('a')",
    "tags.x IS NULL and params.y IS NOT NULL",
    "start_time > 1700000000000 and end_time <= 1",
    "metrics.loss < -1.5e3",
    "dataset.name = 'd' and datasets.digest != 'x'",
]
BAD = [
    "metrics.a",
    "metrics.a > 'x'",
    "params.a = x",
    "tags.a > 'x'",
    "a.b.c = 'x'",
    "tags.a = 'x' OR tags.b = 'y'",
    "start_time LIKE 'x'",
    "metrics.a IS NULL",
    "'x' = tags.a",
]


@pytest.mark.parametrize("text", GOOD)
def test_both_understand_the_same(text: str) -> None:
    theirs = [
        (c["type"], SearchUtils.translate_key_alias(c["key"]), c["comparator"].upper(), c["value"])
        for c in SearchUtils.parse_search_filter(text)
    ]
    ours = [(c.kind, c.key, c.operator, c.value) for c in RUNS.parse(text)]
    assert [(kind, key, operator) for kind, key, operator, _ in ours] == [row[:3] for row in theirs]
    for mine, other in zip([row[3] for row in ours], [row[3] for row in theirs], strict=True):
        if isinstance(mine, int | float):
            assert mine == float(other)
        elif isinstance(mine, str):
            # MLflow 3.17 leaves a doubled quote doubled; SQL, whose language this is, means one.
            assert mine == other.replace("''", "'")
        else:
            assert (mine and list(mine)) == (other and list(other))


@pytest.mark.parametrize("text", BAD)
def test_both_refuse_the_same(text: str) -> None:
    with pytest.raises(ApiError):
        RUNS.parse(text)
    with pytest.raises(MlflowException):
        _their_check(text)


def _their_check(text: str) -> None:
    for c in SearchUtils.parse_search_filter(text):
        SearchUtils.is_metric(c["type"], c["comparator"])
        SearchUtils.is_param(c["type"], c["comparator"])
        SearchUtils.is_tag(c["type"], c["comparator"])
        SearchUtils.is_attribute(c["type"], c["key"], c["comparator"])


@pytest.mark.parametrize(
    "text",
    [
        " and ".join(["metrics.m > 1"] * 101),
        " and ".join(["metrics.m > 1"] * 60_000),
        f"tags.a = '{'x' * 100_000}'",
        "(" * 200_000,
        "tags.a IN (" + ", ".join(["'x'"] * 50_000) + ")",
    ],
)
def test_what_a_filter_may_ask_for_is_limited(text: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(ApiError) as refused:
        RUNS.parse(text)
    assert refused.value.status == 400
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize("clauses", [["metrics.m"] * 21, ["metrics.m" + " " * 100_000 + "x"]])
def test_so_is_what_a_search_may_be_ordered_by(clauses: list[str]) -> None:
    with pytest.raises(ApiError, match="at most"):
        RUNS.parse_order(clauses)
