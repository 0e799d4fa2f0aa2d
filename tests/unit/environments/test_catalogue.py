import pytest
from packaging.requirements import Requirement

from lazulite.environments import catalogue
from lazulite.environments.interpreters import Interpreter
from lazulite.environments.resolve import resolve

NAMES = [entry.name for entry in catalogue.all()]


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_reads_and_resolves(name: str) -> None:
    entry = catalogue.lookup(name)
    assert entry is not None
    assert entry.description
    assert entry.tags
    for requirement in entry.requirements + entry.constraints + entry.overrides:
        Requirement(requirement)
    plan = resolve(entry.spec(), interpreters=[Interpreter((3, 11), "/py/3.11/bin/python3.11")])
    assert set(entry.requirements) <= set(plan.requirements)


def test_the_labs_environment_has_its_exact_version() -> None:
    entry = catalogue.lookup("AzureML-sklearn-1.0-ubuntu20.04-py38-cpu", "44")
    assert entry is not None
    assert (entry.name, entry.latest) == ("AzureML-sklearn-1.0-ubuntu20.04-py38-cpu", "44")


def test_workspace_and_registry_names_are_one_environment() -> None:
    workspace = catalogue.lookup("AzureML-sklearn-1.5", "latest")
    registry = catalogue.lookup("SKLEARN-1.5", registry="azureml")
    assert workspace is not None
    assert registry is not None
    assert registry.name == "sklearn-1.5"
    assert workspace.requirements == registry.requirements


def test_what_begins_with_azureml_in_a_workspace_does_not_in_the_registry() -> None:
    name = "sklearn-1.1-ubuntu20.04-py38-cpu"
    found = catalogue.lookup(name, "6", registry="azureml")
    assert found is not None
    assert (found.name, found.latest) == (name, "6")
    assert name in catalogue.registry_names()
    assert not [name for name in catalogue.registry_names() if name.startswith("AzureML-")]


@pytest.mark.parametrize(
    ("name", "version", "registry"),
    [
        ("sklearn-9", None, None),
        ("sklearn-1.5", "9999", None),
        ("sklearn-1.5", "x", None),
        ("sklearn-1.5", None, "mine"),
        ("sklearn-tools", None, None),
    ],
)
def test_what_there_is_not(name: str, version: str | None, registry: str | None) -> None:
    assert catalogue.lookup(name, version, registry) is None


def test_an_entry_is_found_by_its_image() -> None:
    found = catalogue.of_image("mcr.microsoft.com/azureml/minimal-py312-inference:latest")
    assert found is not None
    assert found.name == "minimal-py312-inference"
