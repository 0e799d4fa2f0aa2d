import pytest

from lazulite.node.hooks import image


@pytest.mark.parametrize(
    ("reference", "known"),
    [
        ("python:3.11", ["python:3.11", "docker.io/library/python:3.11"]),
        ("library/python:latest", ["library/python:latest", "docker.io/library/python:latest"]),
        ("pytorch/pytorch", ["pytorch/pytorch", "docker.io/pytorch/pytorch"]),
        ("mcr.microsoft.com/azureml/base:1", ["mcr.microsoft.com/azureml/base:1"]),
        ("localhost/mine", ["localhost/mine"]),
        ("registry:5000/mine", ["registry:5000/mine"]),
    ],
)
def test_the_names_of_an_image(reference: str, known: list[str]) -> None:
    assert image.names(reference) == known
