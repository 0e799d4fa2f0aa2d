from __future__ import annotations

from pathlib import Path

import pytest

from lazulite.node.parallel import devices


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def seen(count: int, folder: Path) -> list[str | None]:
    return [devices.variables(place, str(folder)).get("CUDA_VISIBLE_DEVICES") for place in range(count)]


def test_each_worker_has_a_gpu_of_its_own_while_there_are_some(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "null"):
        (tmp_path / name).touch()
    assert seen(3, tmp_path) == ["0", "1", "0"]


def test_without_a_gpu_nothing_is_set(tmp_path: Path) -> None:
    assert seen(1, tmp_path) == [None]


@pytest.mark.parametrize(("given", "expected"), [("3,GPU-5f", ["3", "GPU-5f"]), ("", ["", ""])])
def test_the_job_takes_of_those_that_it_was_given(
    given: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert seen(2, tmp_path) == expected
