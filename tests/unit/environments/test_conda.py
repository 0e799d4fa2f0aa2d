import pytest

from lazulite.environments import conda
from lazulite.environments.spec import Unresolvable


def no_files(name: str) -> str:
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("spec", "requirement"),
    [
        ("numpy", "numpy"),
        ("numpy=1.22", "numpy==1.22.*"),
        ("numpy==1.22.3", "numpy==1.22.3"),
        ("numpy=1.22.*", "numpy==1.22.*"),
        ("numpy=1.22=py38_0", "numpy==1.22.*"),
        ("numpy 1.22", "numpy==1.22"),
        ("numpy>=1.21,<2", "numpy>=1.21,<2"),
        ("numpy >=1.21, <2", "numpy>=1.21,<2"),
        ("conda-forge::pandas~=2.1", "pandas~=2.1"),
        ("pandas[version='>=2']", "pandas>=2"),
        ("pytorch::pytorch=2.1", "torch==2.1.*"),
        ("matplotlib-base", "matplotlib"),
        ("opencv", "opencv-python-headless"),
    ],
)
def test_a_conda_match_becomes_a_requirement(spec: str, requirement: str) -> None:
    assert conda.parse_specs([spec]).requirements == [requirement]


@pytest.mark.parametrize(
    ("spec", "python"),
    [
        ("python=3.8", "3.8"),
        ("python==3.10.4", "3.10"),
        ("python>=3.8,<3.11", "3.8"),
        ("python<3.11", "3.10"),
        ("python", None),
    ],
)
def test_python_is_the_first_version_named(spec: str, python: str | None) -> None:
    found = conda.parse_specs([spec])
    assert found.python == python
    assert found.requirements == []


def test_a_file_with_pip_section() -> None:
    text = """
name: env
channels: [conda-forge]
dependencies:
  - python=3.10
  - pip
  - scikit-learn=1.5
  - pip:
      - --extra-index-url=https://packages.example/simple
      - mlflow  # tracking
      - inference-schema[numpy-support]>=1.5
      - git+https://git.example/tool.git@main
variables: {MODE: test}
"""
    found = conda.parse(text, no_files)
    assert found.python == "3.10"
    assert found.requirements == [
        "pip",
        "scikit-learn==1.5.*",
    ]
    (install,) = found.installs
    assert install.requirements == [
        "mlflow",
        "inference-schema[numpy-support]>=1.5",
        "git+https://git.example/tool.git@main",
    ]
    assert install.options == ["--index", "https://packages.example/simple"]
    assert found.variables == {"MODE": "test"}


def test_what_orders_condas_own_builds_is_noted_and_left_out() -> None:
    found = conda.parse_specs(["cudatoolkit=11.3"])
    assert found.requirements == []
    assert "cudatoolkit=11.3" in found.notes[0]


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ({"dependencies": ["r-base=4"]}, "r-base"),
        ({"dependencies": ["openjdk"]}, "openjdk"),
        ({"dependencies": ["numpy=1.2|1.3"]}, "alternatives"),
        ({"dependencies": "numpy"}, "list"),
        ({"dependencies": [{"npm": ["x"]}]}, "npm"),
        ({"dependencies": [{"pip": ["not a requirement!"]}]}, "not a requirement!"),
        ("- just\n- a list\n", "mapping"),
        ("a: [", "YAML"),
    ],
)
def test_refusals_name_what_is_wrong(file: object, named: str) -> None:
    with pytest.raises(Unresolvable, match=named):
        conda.parse(file, no_files)  # type: ignore[arg-type]
