"""The user's entry script: its module, the three functions called in it, and what it may import to ask about the job."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import sys
import types
from typing import Any


class MiniBatchContext:
    """The second argument of a `run` that takes two."""

    def __init__(self, minibatch_index: int, partition_key_value: dict[str, Any] | None) -> None:
        self.minibatch_index = minibatch_index
        self.partition_key_value = partition_key_value


class Script:
    """The loaded entry script."""

    def __init__(self, path: str, arguments: list[str]) -> None:
        """Raises whatever the script raises while it is loaded."""
        script = os.path.abspath(path)
        sys.argv = [script, *arguments]
        sys.path[:1] = [os.path.dirname(script), os.getcwd()]
        name = os.path.splitext(os.path.basename(script))[0]
        spec = importlib.util.spec_from_file_location(name, script)
        if spec is None or spec.loader is None or not os.path.isfile(script):
            raise FileNotFoundError(2, "No such file or directory", script)
        self._module = importlib.util.module_from_spec(spec)
        sys.modules[name] = self._module
        spec.loader.exec_module(self._module)
        if not callable(getattr(self._module, "run", None)):
            raise AttributeError(f"The entry script '{path}' has no function run(mini_batch).")
        self._takes_context = _takes_two(self._module.run)

    def init(self) -> None:
        getattr(self._module, "init", _nothing)()

    def run(self, mini_batch: Any, context: MiniBatchContext) -> Any:
        return self._module.run(mini_batch, context) if self._takes_context else self._module.run(mini_batch)

    def shutdown(self) -> None:
        getattr(self._module, "shutdown", _nothing)()


def offer(log: str, level: str, to_file: bool = True) -> None:
    """Make `from azureml_user.parallel_run import EntryScript` work, and `logging` write to stdout, as on Azure.

    The logger of EntryScript writes to the file `log`, or to stderr.
    """
    lowest = getattr(logging, level, logging.INFO)
    logger = logging.getLogger("EntryScript")
    logger.setLevel(lowest)
    logger.propagate = False
    logger.handlers[:] = [
        logging.FileHandler(log, encoding="utf-8", delay=True) if to_file else logging.StreamHandler()
    ]
    logger.handlers[0].setFormatter(logging.Formatter("%(asctime)s|%(levelname)s|%(process)d|%(message)s"))
    logging.basicConfig(
        stream=sys.stdout, level=lowest, format="%(asctime)s|%(name)s|%(levelname)s|%(process)d|%(message)s"
    )

    class EntryScript:
        def __init__(self) -> None:
            self.logger = logger
            self.agent_name = os.path.basename(log).partition(".")[0]
            self.working_dir = os.getcwd()
            self.output_dir = os.path.join(self.working_dir, "outputs")
            self.log_dir = os.path.dirname(os.path.abspath(log))

    package, module = types.ModuleType("azureml_user"), types.ModuleType("azureml_user.parallel_run")
    package.__path__ = []
    for name, value in (("EntryScript", EntryScript), ("MiniBatchContext", MiniBatchContext)):
        setattr(module, name, value)
    sys.modules.setdefault("azureml_user", package)
    sys.modules.setdefault("azureml_user.parallel_run", module)


def _takes_two(run: Any) -> bool:
    parameters = inspect.signature(run).parameters.values()
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(places) > 1 or any(p.kind == p.VAR_POSITIONAL for p in parameters)


def _nothing() -> None:
    pass
