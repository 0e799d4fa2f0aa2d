"""Notebooks, cell by cell, waiting after each for the jobs it submitted, as a person does."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from conformance import platform, sandbox
from conformance.manifest import Case

_INSTALL = re.compile(r"^\s*[%!]?\s*pip3? +install", re.MULTILINE)
#: What the kernel of a compute instance has.
_KERNEL = ("azure-ai-ml>=1.35,<1.36", "azure-identity", "ipykernel", "mlflow-skinny>=3.5", "pandas<3")


class CellFailed(Exception):
    """A cell raised; the message holds its number, first line and error."""


def run(case: Case, file: Path, place: platform.Place, kernels: Path) -> list[str]:
    """Run the notebook in its folder; returns notes. Raises CellFailed and TimeoutError."""
    import nbformat

    deadline = time.monotonic() + case.timeout_minutes * 60
    notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    values = place.values() if case.patches else {}
    skipped = seen = 0
    with _kernel(notebook, file.parent, _interpreter(case, kernels), place.tracking_uri, case) as execute:
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type != "code" or _INSTALL.search(cell.source):
                continue
            if any(re.search(pattern, cell.source) for pattern in case.skip_cells):
                skipped += 1
                continue
            cell.source = sandbox.patched(cell.source, case.patches, values)
            execute(cell, number)
            seen = len(platform.wait(place.client, seen, deadline))
    nbformat.write(notebook, file)  # type: ignore[no-untyped-call]
    return [f"{skipped} cell left out"] if skipped else []


@contextlib.contextmanager
def _kernel(
    notebook: Any, folder: Path, python: str, tracking_uri: str, case: Case
) -> Iterator[Callable[[Any, int], None]]:
    """A kernel of that interpreter in that folder; what is yielded runs a cell. Raises CellFailed."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    manager = AsyncKernelManager()
    command = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"]
    manager._kernel_spec = KernelSpec(argv=command, display_name="Python", language="python")
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, km=manager, timeout=int(case.timeout_minutes * 60), resources=resources)

    def execute(cell: Any, number: int) -> None:
        try:
            client.execute_cell(cell, number)
        except CellExecutionError as error:
            raise CellFailed(_explain(number, cell, error)) from None

    try:
        with client.setup_kernel(env=os.environ | {"MLFLOW_TRACKING_URI": tracking_uri}):
            yield execute
    finally:
        run_sync(manager.shutdown_kernel)(now=True)


def _explain(number: int, cell: Any, error: Exception) -> str:
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return "\n".join([f"cell {number} ({first}) failed", *text[-12:]])


def _interpreter(case: Case, kernels: Path) -> str:
    """This interpreter, or one of an environment with the packages the case asks for."""
    if not case.packages:
        return sys.executable
    wanted = sorted({*_KERNEL, *case.packages})
    folder = kernels / hashlib.sha256("\n".join(wanted).encode()).hexdigest()[:16]
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        uv = [sys.executable, "-m", "uv"]
        for command in (
            [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [*uv, "pip", "install", "--quiet", "--python", str(python), *wanted],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CellFailed(f"the kernel's environment cannot be made:\n{done.stderr.strip()[-2000:]}")
        (folder / "complete").touch()
    return str(python)
