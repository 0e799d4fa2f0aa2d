"""The chain and the fan-out of `benchmarks.pipelines` as flows of Metaflow, each step a process that runs `true`."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

SHAPES = ("chain", "fan-out")
_HEAD = "import subprocess\nfrom metaflow import FlowSpec, step\n\n\nclass Flow(FlowSpec):\n"
_TRUE = "        subprocess.run(['true'])\n"


def seconds(folder: Path, python: str, steps: int, shape: str) -> float:
    """How long the flow takes; `python` is an interpreter that has Metaflow."""
    script = folder / f"{shape.replace('-', '_')}_flow.py"
    script.write_text(_chain(steps) if shape == "chain" else _fan_out(steps))
    command = [python, str(script), "--quiet", "--no-pylint", "run", "--max-num-splits", "1000", "--max-workers", "16"]
    variables = {**os.environ, "USERNAME": "bench", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder)}
    began = time.monotonic()
    subprocess.run(command, cwd=folder, env=variables, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def _chain(steps: int) -> str:
    names = ["start", *(f"s{number}" for number in range(1, steps - 1)), "end"]
    text = _HEAD
    for name, following in zip(names, [*names[1:], None], strict=True):
        text += f"    @step\n    def {name}(self):\n{_TRUE}"
        text += f"        self.next(self.{following})\n\n" if following else "\n"
    return f"{text}\nif __name__ == '__main__':\n    Flow()\n"


def _fan_out(steps: int) -> str:
    return f"""{_HEAD}    @step
    def start(self):
        self.items = list(range({steps}))
        self.next(self.work, foreach='items')

    @step
    def work(self):
{_TRUE}        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == '__main__':
    Flow()
"""
