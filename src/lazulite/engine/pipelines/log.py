"""The log of a pipeline, `logs/azureml/executionlogs.txt` among its run's artifacts: the file that clients follow."""

from __future__ import annotations

from lazulite.engine.sweeps.log import bring_up, line

FILE = "logs/azureml/executionlogs.txt"

__all__ = ["FILE", "bring_up", "line"]
