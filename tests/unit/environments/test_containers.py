import os
from pathlib import Path
from typing import Any

import pytest

from lazulite.environments.interpreters import Interpreter
from lazulite.environments.resolve import resolve
from lazulite.environments.spec import BuildContext, EnvironmentSpec
from lazulite.model.run_plan import EnvironmentPlan

INTERPRETERS = [Interpreter((3, 10), "/py/bin/python3.10")]


def plan_of(*, in_containers: bool = True, **fields: Any) -> EnvironmentPlan:
    return resolve(EnvironmentSpec(**{"name": "e", **fields}), interpreters=INTERPRETERS, in_containers=in_containers)


def test_an_image_alone_is_run_as_it_is() -> None:
    plan = plan_of(image="mcr.microsoft.com/azureml/curated/sklearn-1.5:12")
    assert plan.image is not None
    assert (plan.image.name, plan.image.context) == ("mcr.microsoft.com/azureml/curated/sklearn-1.5:12", None)
    assert (plan.requirements, plan.notes) == ([], [])


def test_the_process_runtime_says_what_it_approximates() -> None:
    plan = plan_of(image="python:3.10", in_containers=False)
    assert plan.image is None
    assert any("not run as a container" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"image": "python:3.10", "conda_file": {"dependencies": ["python=3.10", "six"]}}, "with a conda_file"),
        ({"image": "mcr.microsoft.com/azureml/curated/sklearn-1.5:12", "curated": "sklearn-1.5"}, "a curated"),
    ],
)
def test_what_is_more_than_an_image_stays_a_process_and_says_so(fields: dict[str, Any], what: str) -> None:
    plan = plan_of(**fields)
    assert plan.image is None
    assert any("The runtime is 'container'" in note and what in note for note in plan.notes)


def test_a_build_context_is_named_by_its_content(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (tmp_path / "outside").write_text("one")
    (context / "Dockerfile").write_text("FROM scratch\nRUN anything --at all\n")
    (context / "link").symlink_to(tmp_path / "outside")
    build = BuildContext(dockerfile="FROM scratch\nRUN anything --at all\n", folder=str(context))
    first = plan_of(build=build)
    assert first.image is not None
    assert (first.image.context, first.image.dockerfile) == (str(context), "Dockerfile")
    (tmp_path / "outside").write_text("two")
    assert plan_of(build=build, name="other").key == first.key
    (context / "more.txt").write_text("x")
    second = plan_of(build=build)
    assert second.key != first.key
    assert second.image is not None
    assert second.image.name != first.image.name


def test_a_fifo_in_a_build_context_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    build = BuildContext(dockerfile="FROM scratch\n", folder=str(tmp_path))
    first = plan_of(build=build)
    os.mkfifo(tmp_path / "pipe")
    assert plan_of(build=build).key == first.key
