"""The census of the SDK's methods: each stands in the table, and the table tells the truth."""

from __future__ import annotations

import subprocess
from datetime import date

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.census import calls
from tests.census.evidence import ROOT, sources_of
from tests.census.operations import sdk_methods
from tests.census.sdk_table import FILE, read, sdk_table

#: The day the list of what is not built was closed. What is listed later is a step back.
CLOSED = date(2026, 11, 23)
_ON_THE_CLIENT = (
    ("data.mount", lambda c: c.data.mount("azureml:d:1", mount_point="/nowhere")),
    ("datastores.mount", lambda c: c.datastores.mount("workspaceblobstore", mount_point="/nowhere")),
    ("data.list_materialization_status", lambda c: list(c.data.list_materialization_status("d"))),
)


def test_every_method_stands_in_the_table_once() -> None:
    table = sdk_table()
    listed = sorted([*table.works, *table.not_yet, *table.client_only])
    assert listed == [method.name for method in sdk_methods()]


def test_the_list_of_what_is_not_built_only_shrinks() -> None:
    assert [name for name, since in sdk_table().not_yet.items() if since > CLOSED] == []
    committed = subprocess.run(
        ["git", "show", f"HEAD:{FILE.relative_to(ROOT)}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if committed.returncode == 0:
        assert set(sdk_table().not_yet) <= set(read(committed.stdout).not_yet)


@pytest.mark.parametrize(("method", "test"), sdk_table().works.items(), ids=lambda value: value.split("::")[-1])
def test_a_method_that_works_is_called_by_its_test(method: str, test: str) -> None:
    file, name = test.split("::")
    assert f"ml_client.{method}(" in sources_of(file)[name]


def test_there_is_a_call_for_every_method_that_is_not_built() -> None:
    assert set(calls.CALLS) == set(sdk_table().not_yet)


@pytest.mark.clients
@pytest.mark.parametrize("method", sdk_table().not_yet)
def test_not_built_says_501(ml_client: MLClient, method: str) -> None:
    with pytest.raises(HttpResponseError) as refusal:
        calls.make(method, ml_client)
    assert (refusal.value.status_code, refusal.value.error.code) == (501, "NotImplemented")
    assert "is not built in this version of Lazulite" in refusal.value.message
    assert refusal.value.error.target


@pytest.mark.clients
@pytest.mark.parametrize(("method", "call"), _ON_THE_CLIENT, ids=[method for method, _ in _ON_THE_CLIENT])
def test_what_fails_inside_the_sdk_does_so_before_any_answer_of_ours(
    ml_client: MLClient, method: str, call: calls.Call
) -> None:
    assert method in sdk_table().client_only
    with pytest.raises(Exception) as failure:
        call(ml_client)
    assert not isinstance(failure.value, HttpResponseError)


@pytest.mark.clients
def test_an_index_is_built_of_components_that_have_to_be_loaded(ml_client: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError, match=r"no component 'llm_rag_crack_and_chunk'.*lazulite registry load"):
        calls.build_index(ml_client)


@pytest.mark.clients
def test_deployment_templates_live_at_an_address_the_sdk_holds(ml_client: MLClient) -> None:
    assert ml_client.deployment_templates._get_registry_endpoint() == "https://eastus.api.azureml.ms"
