from pathlib import Path
from typing import Any

import pytest

from lazulite.environments import images
from lazulite.environments.interpreters import Interpreter, choose
from lazulite.environments.resolve import resolve
from lazulite.environments.spec import BuildContext, EnvironmentSpec, Unresolvable
from lazulite.model.run_plan import EnvironmentPlan

INTERPRETERS = [Interpreter((3, minor), f"/py/3.{minor}/bin/python3.{minor}") for minor in (8, 9, 10, 11, 12)]
BASE = "mcr.microsoft.com/azureml/openmpi3.1.2-ubuntu18.04"


def plan_of(**fields: Any) -> EnvironmentPlan:
    return resolve(EnvironmentSpec(**{"name": "e", **fields}), interpreters=INTERPRETERS)


def test_a_base_image_has_no_packages() -> None:
    plan = plan_of(image=BASE)
    assert plan.python == "3.8"
    assert plan.requirements == ["pip", "setuptools<81", "wheel"]
    assert any("not run as a container" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("image", "python"),
    [
        ("python:3.11.6", "3.11"),
        ("docker.io/python:3.9-slim", "3.9"),
        ("library/python:latest", "3.12"),
        ("mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:20230620.v1", "3.9"),
        ("mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04", "3.10"),
        ("mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference:latest", "3.9"),
        ("registry.example/unheard/of:1", "3.10"),
    ],
)
def test_the_image_decides_the_python(image: str, python: str) -> None:
    assert plan_of(image=image).python == python


def test_a_conda_file_decides_over_the_image() -> None:
    plan = plan_of(image="pytorch/pytorch:latest", conda_file={"dependencies": ["python=3.9", "six"]})
    assert plan.interpreter == "/py/3.9/bin/python3.9"
    assert plan.requirements[0] == "six"
    assert "torch" not in plan.requirements


def test_mlflow_stays_below_3_unless_its_version_is_asked_for() -> None:
    assert "mlflow<3" in plan_of(conda_file={"dependencies": [{"pip": ["mlflow"]}]}).constraints
    assert "mlflow<3" not in plan_of(conda_file={"dependencies": [{"pip": ["mlflow==3.1"]}]}).constraints


@pytest.mark.parametrize(
    ("packages", "guarded"),
    [
        (["scikit-learn=1.2"], True),
        (["scikit-learn=1.5"], False),
        (["pandas<2.2"], True),
        (["pandas>=1.0"], False),
        (["scikit-learn=1.2", "numpy=1.26"], False),
    ],
)
def test_old_packages_get_numpy_1(packages: list[str], guarded: bool) -> None:
    assert ("numpy<2" in plan_of(conda_file={"dependencies": packages}).constraints) == guarded


@pytest.mark.parametrize(("version", "guarded"), [("=0.24.2", True), ("=1.2", False), ("", False)])
def test_the_extension_of_an_old_scikit_learn_is_old(version: str, guarded: bool) -> None:
    plan = plan_of(conda_file={"dependencies": [f"scikit-learn{version}", "scikit-learn-intelex"]})
    assert ("scikit-learn-intelex<2023" in plan.constraints) == guarded


def test_setuptools_keeps_pkg_resources_everywhere() -> None:
    assert "setuptools<81" in plan_of(conda_file={"dependencies": ["setuptools"]}).constraints


def test_the_key_follows_the_content_and_not_the_name() -> None:
    first = plan_of(image=BASE)
    assert plan_of(image=BASE, name="other", version="9").key == first.key
    assert plan_of(image=BASE + ":latest").key == first.key
    assert plan_of(conda_file={"dependencies": ["python=3.8", "six"]}).key != first.key
    assert plan_of(image="python:3.9").key != first.key


def test_the_key_follows_copied_files(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("one")
    build = BuildContext(dockerfile="FROM python:3.10\nCOPY data.txt /app/", folder=str(tmp_path))
    before = plan_of(build=build)
    (tmp_path / "data.txt").write_text("two")
    assert plan_of(build=build).key != before.key
    assert before.context == str(tmp_path)


def test_a_curated_image_brings_its_packages() -> None:
    build = BuildContext(dockerfile="FROM mcr.microsoft.com/azureml/curated/sklearn-1.5:12\nRUN pip install six")
    plan = plan_of(build=build)
    assert plan.python == "3.10"
    assert "six" in plan.requirements
    assert any(each.startswith("scikit-learn") for each in plan.requirements)


def test_nearest_interpreter_newer_first_and_said() -> None:
    few = [Interpreter((3, 9), "/a"), Interpreter((3, 11), "/b")]
    assert choose("3.9", few) == (few[0], None)
    chosen, note = choose("3.10", few)
    assert chosen == few[1]
    assert "3.10 is not installed" in (note or "")
    assert choose("3.13", few)[0] == few[1]
    assert choose(None, few) == (few[1], None)
    with pytest.raises(Unresolvable, match="No Python interpreter"):
        choose("3.9", [])


def test_nothing_to_build_from_is_refused() -> None:
    with pytest.raises(Unresolvable, match="neither an image"):
        plan_of()


def test_an_included_file_of_an_asset_is_refused() -> None:
    with pytest.raises(Unresolvable, match=r"requirements\.txt"):
        plan_of(conda_file={"dependencies": [{"pip": ["-r requirements.txt"]}]})


@pytest.mark.parametrize(
    "image", ["r-base:4.3", "docker.io/rocker/r-ver", "julia", "host:5000/x/openjdk:17", "node:20"]
)
def test_an_image_of_another_language_is_no_bare_python(image: str) -> None:
    with pytest.raises(Unresolvable, match=r'runtime = "container"'):
        images.packages(image)


@pytest.mark.parametrize(
    "image", ["python:3.11", "me/node-features:1", "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04"]
)
def test_other_images_stay_pythons(image: str) -> None:
    assert images.packages(image).notes
