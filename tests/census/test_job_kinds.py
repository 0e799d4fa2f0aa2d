from __future__ import annotations

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import HttpResponseError

from lazulite.resources import jobs
from tests.census.evidence import sources_of
from tests.census.operations import job_kinds
from tests.census.sdk_table import sdk_table
from tests.server_fixture import GROUP, WORKSPACE


def test_every_kind_that_is_taken_has_a_test_that_runs_one() -> None:
    assert set(sdk_table().job_kinds) == set(jobs.CHECKS)
    for test in sdk_table().job_kinds.values():
        file, name = test.split("::")
        assert name in sources_of(file)


@pytest.mark.clients
@pytest.mark.parametrize("kind", [kind for kind in job_kinds() if kind not in jobs.CHECKS])
def test_other_kinds_say_501(ml_client: MLClient, kind: str) -> None:
    operations = ml_client.jobs._operation_2023_02_preview
    with pytest.raises(HttpResponseError, match=f"of a {kind} job is not built") as refusal:
        operations.create_or_update(GROUP, WORKSPACE, "of-another-kind", {"properties": {"jobType": kind}})
    assert refusal.value.status_code == 501
