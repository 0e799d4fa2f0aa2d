"""A container engine and a tiny image for the tests that need real ones; they are skipped where there is none."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import pytest

from lazulite.model.run_plan import ContainerEngine
from lazulite.node import engines

#: Tests rebuild it where it is missing, and leave it: it is 2 MB.
IMAGE = "lazulite-test-busybox:1"


@functools.cache
def engine() -> ContainerEngine:
    """What runs containers here. Skips the test where nothing does, saying why."""
    found = engines.probe()
    if found["kind"] is None:
        pytest.skip(f"no container engine: {found['detail']}")
    return ContainerEngine(**found)


@functools.cache
def image() -> str:
    """An image with busybox and nothing else, made without a registry. Skips the test where there is no busybox."""
    busybox = shutil.which("busybox")
    if busybox is None or not _is_static(busybox):
        pytest.skip("no static busybox to make an image of: apt-get install busybox-static")
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(busybox, Path(folder, "busybox"))
        Path(folder, "Dockerfile").write_text(
            'FROM scratch\nCOPY busybox /bin/busybox\nENV FROM_IMAGE=yes\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
        )
        command = [*engine().command, "build", "--tag", IMAGE, folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"{engine().kind} builds no image here: {done.stderr.strip()[-300:]}")
    return IMAGE


def running(part: str) -> list[str]:
    """Names of the containers there are, running or not, whose name has `part`."""
    command = [*engine().command, "ps", "--all", "--format", "{{.Names}}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return [name for name in said.split() if part in name]


def _is_static(program: str) -> bool:
    """A dynamic program names its loader in its first page."""
    return b"/ld-" not in Path(program).read_bytes()[:4096]
