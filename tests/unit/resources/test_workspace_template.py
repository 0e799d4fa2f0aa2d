"""The tables of parameters, held to the templates of the installed SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import azure.ai.ml
import pytest

from lazulite.core.errors import ApiError
from lazulite.resources import workspace_template as template

TEMPLATES = Path(azure.ai.ml.__file__).parent / "_arm_deployments" / "arm_templates"
GROUP = "/subscriptions/s/resourceGroups/rg"
LEAST = {"workspaceName": "w", "location": "west"}


def sdk(name: str) -> dict[str, Any]:
    return dict(json.loads((TEMPLATES / f"{name}.json").read_text()))


def refusal(parameters: dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        template.read({**LEAST, **parameters}, GROUP)
    return caught.value


def test_every_parameter_of_the_sdks_templates_stands_in_one_table() -> None:
    theirs = set(sdk("workspace_param"))
    for name in ("workspace_base", "workspace_project"):
        theirs |= set(sdk(name)["parameters"])
    assert theirs == template.PARAMETERS
    tables = (template.PROPERTIES, template.INNER, template.READ, template.ONLY, template.LOCATIONS, template.IDLE)
    assert sum(len(table) for table in tables) == len(template.PARAMETERS)


def test_every_type_of_the_sdks_templates_is_known() -> None:
    for name in ("workspace_base", "workspace_project"):
        theirs = sdk(name)
        assert {made["type"].lower() for made in theirs["resources"]} <= template.RESOURCES
        template.check(theirs)


def test_what_the_sdk_sends_where_nothing_is_asked_for_asks_for_nothing() -> None:
    for name in ("workspace_base", "workspace_project"):
        defaults = {
            key: parameter["defaultValue"]
            for key, parameter in sdk(name)["parameters"].items()
            if "defaultValue" in parameter and not str(parameter["defaultValue"]).startswith("[")
        }
        template.read({**defaults, **LEAST}, GROUP)
    sent = {key: parameter["value"] for key, parameter in sdk("workspace_param").items()}
    assert template.read({**sent, **LEAST}, GROUP).new == {}


@pytest.mark.parametrize("name", sorted({*template.ONLY, *template.LOCATIONS}))
def test_what_cannot_be_had_is_refused_by_name(name: str) -> None:
    error = refusal({name: "something else"})
    assert (error.status, error.target) == (501, f"properties.parameters.{name}")
    assert f"{name} cannot be 'something else' here." in error.message


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"hbi_workspace": "true"}, "hbi_workspace"),
        ({"storageAccountOption": "newest"}, "storageAccountOption"),
        ({"containerRegistryOption": "new"}, "containerRegistryOption"),
        ({"storageAccountName": "abc", "storageAccountResourceGroupName": "other"}, "storageAccountResourceGroupName"),
        ({"storageAccountName": "abc", "storageAccountSubscriptionId": "other"}, "storageAccountSubscriptionId"),
        ({"resourceGroupName": "other"}, "resourceGroupName"),
        ({"workspaceName": ""}, "workspaceName"),
        ({"workspaceName": "w/jobs/j"}, "workspaceName"),
        ({"storageAccountName": "w/jobs/abc"}, "storageAccountName"),
        ({"applicationInsightsName": 5.5, "keyVaultName": "x/abc"}, "keyVaultName"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(parameters: dict[str, Any], name: str) -> None:
    error = refusal(parameters)
    assert (error.status, error.target) == (400, f"properties.parameters.{name}")


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({"parameters": {"dnsLabel": {"type": "string"}}}, "properties.parameters.dnsLabel"),
        ({"resources": [{"type": "Microsoft.Compute/virtualMachines"}]}, "properties.template.resources"),
        ("text", "properties.template"),
    ],
)
def test_templates_of_other_things_are_refused(given: object, target: str) -> None:
    with pytest.raises(ApiError) as caught:
        template.check(given)
    assert (caught.value.status, caught.value.target) == (400, target)


def test_what_exists_is_named_where_it_lies_and_what_is_new_in_the_group() -> None:
    existing = {
        "storageAccountOption": "existing",
        "storageAccountName": "mystore1",
        "storageAccountResourceGroupName": "rg2",
        "storageAccountSubscriptionId": "s2",
        "keyVaultOption": "existing",
        "keyVaultName": "myvault1",
        "applicationInsightsOption": "none",
    }
    found = template.read({**LEAST, **existing}, GROUP)
    store = "/subscriptions/s2/resourceGroups/rg2/providers/Microsoft.Storage/storageAccounts/mystore1"
    vault = f"{GROUP}/providers/Microsoft.KeyVault/vaults/myvault1"
    assert found.document["properties"] == {"storageAccount": store, "keyVault": vault, "applicationInsights": ""}
    new = template.read({**LEAST, "storageAccountName": "mystore1", "keyVaultName": "1keyvault"}, GROUP).new
    assert new == {"storageAccount": f"{GROUP}/providers/Microsoft.Storage/storageAccounts/mystore1"}


@pytest.mark.parametrize(
    ("sent", "target"),
    [
        ({"parameters": 5}, "parameters"),
        ({"parameters": [[]]}, "parameters"),
        ({"resources": 5}, "resources"),
        ({"resources": {"a": {}}}, "resources"),
        ({"resources": [5]}, "resources"),
    ],
)
def test_a_template_of_another_form_is_refused_by_field(sent: dict[str, Any], target: str) -> None:
    with pytest.raises(ApiError) as caught:
        template.check(sent)
    assert (caught.value.status, caught.value.target) == (400, f"properties.template.{target}")
