from __future__ import annotations

from typing import Any

import pytest

from lazulite.api import filters

JOB: dict[str, Any] = {
    "name": "Blue-Bird",
    "kind": "Hub",
    "properties": {
        "jobType": "Command",
        "description": "the Second try",
        "tags": {"team": "a", "old": ""},
        "properties": {"azureml.FeatureSetName": "f", "azureml.FeatureSetVersion": "1"},
    },
}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, True),
        ({"api-version": "2024-01-01", "listViewType": "All", "$skip": "3"}, True),
        ({"jobType": "command"}, True),
        ({"jobType": "Pipeline"}, False),
        ({"tag": "old"}, True),
        ({"tag": "new"}, False),
        ({"$tags": "team=a,old"}, True),
        ({"tags": "team=b"}, False),
        ({"properties": "azureml.FeatureSetName=f, azureml.FeatureSetVersion=1"}, True),
        ({"properties": "azureml.FeatureSetName=f,azureml.FeatureSetVersion=2"}, False),
        ({"properties": ""}, True),
        ({"kind": "hub,project"}, True),
        ({"kind": "default"}, False),
        ({"names": "x,blue-bird"}, True),
        ({"names": "x"}, False),
        ({"searchText": "bird"}, True),
        ({"description": "second"}, True),
        ({"version": "2"}, False),
        ({"isDefault": "true"}, False),
        ({"isDefault": "false"}, True),
        ({"tag": "old", "jobType": "Pipeline"}, False),
    ],
)
def test_every_filter_of_a_query_must_hold(query: dict[str, str], shown: bool) -> None:
    assert filters.wanted(query)(JOB) is shown


def test_what_a_document_lacks_is_not_matched() -> None:
    bare: dict[str, Any] = {"name": "n", "properties": {}}
    assert not filters.wanted({"properties": "a"})(bare)
    assert not filters.wanted({"tags": "a"})(bare)
    assert not filters.wanted({"jobType": "Command"})(bare)


def test_tags_of_a_tracked_resource_lie_beside_its_properties() -> None:
    assert filters.wanted({"tags": "team=a"})({"name": "w", "tags": {"team": "a"}, "properties": {}})
