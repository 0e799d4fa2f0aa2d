import pytest

from lazulite.node import image_causes

REFERENCE = "docker.io/library/nope:1"


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Error: initializing source docker://x: dial tcp: lookup registry-1.docker.io: no such host", "be reached"),
        ("Error response from daemon: manifest for nope:1 not found: manifest unknown", "correct the name"),
        ("Error: reading manifest 1 in docker.io/library/nope: unauthorized", "podman login docker.io"),
        ("write /var/tmp/x: no space left on device", "disk is full"),
        ("something else", "podman load"),
    ],
)
def test_a_pull_that_failed(said: str, advice: str) -> None:
    message = image_causes.of_pull(REFERENCE, "podman", said)
    assert message.startswith(f"The image {REFERENCE} could not be pulled by podman.")
    assert advice in message


def test_a_build_names_its_last_step() -> None:
    said = "STEP 1/2: FROM busy\nSTEP 2/2: RUN make\nmake: not found\nError: exit status 127\n"
    message = image_causes.of_build("e:1", "podman", said)
    assert "environment e:1" in message
    assert "'RUN make'" in message


def test_a_build_whose_base_is_missing_names_that() -> None:
    said = "STEP 1/2: FROM quay.io/a/b:1\nTrying to pull quay.io/a/b:1...\nError: initializing source: manifest unknown"
    message = image_causes.of_build("e:1", "podman", said)
    assert "quay.io/a/b:1" in message
    assert "The registry quay.io has no such image" in message
