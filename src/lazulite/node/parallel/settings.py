"""What a parallel job was asked to do: the agent's `settings.json`, and the settings that stand among its arguments."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "settings.json")
_FILES = 10
_BYTES = 1 << 20
#: Azure's settings that are given among the entry script's arguments, and which of ours each is.
_ARGUMENTS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "--error_threshold": ("error_threshold", int),
    "--allowed_failed_count": ("mini_batch_error_threshold", int),
    "--allowed_failed_percent": ("allowed_failed_percent", float),
    "--task_overhead_timeout": ("task_overhead_timeout", float),
    "--progress_update_timeout": ("progress_update_timeout", float),
    "--first_task_creation_timeout": ("first_task_creation_timeout", float),
}
#: Accepted without an effect: the logs and metrics of a step lie beside its pipeline's, and one machine is not watched
#: by a job.
WITHOUT_EFFECT = (
    "--copy_logs_to_parent",
    "--resource_monitor_interval",
    "--push_metrics_to_parent",
    "--metrics_name_prefix",
)


class InputError(Exception):
    """The job cannot be done as it is asked for; the message says why to its author."""


@dataclass
class Settings:
    """Timeouts are in seconds; thresholds below zero bear any number of failures."""

    entry_script: str
    data: str
    """Path of the input that is cut."""
    is_table: bool = False
    """The input has the type mltable: its MLTable file says what it holds."""
    as_files: bool = False
    """The table's files are wanted (mode eval_mount or eval_download), whatever they hold."""
    append_to: str | None = None
    """File or folder that takes the results; None where they are not wanted."""
    mini_batch_size: int | None = None
    """Files, or bytes of a table."""
    partition_keys: list[str] = field(default_factory=list)
    instances: int = 1
    workers_per_instance: int = 1
    max_retries: int = 2
    timeout: float = 60.0
    error_threshold: int = -1
    mini_batch_error_threshold: int = -1
    allowed_failed_percent: float = 100.0
    task_overhead_timeout: float = 600.0
    progress_update_timeout: float = 0.0
    """0 waits without end."""
    first_task_creation_timeout: float = 600.0
    logging_level: str = "INFO"
    arguments: list[str] = field(default_factory=list)
    """The entry script's own."""

    @property
    def files_per_batch(self) -> int:
        return self.mini_batch_size or _FILES

    @property
    def bytes_per_batch(self) -> int:
        return self.mini_batch_size or _BYTES


def load(arguments: list[str], path: str = FILE) -> Settings:
    """Raises InputError for an argument that is not the number it has to be."""
    with open(path, encoding="utf-8") as file:
        given: dict[str, Any] = json.load(file)
    for name, number in _among(arguments):
        own, kind = _ARGUMENTS[name]
        # A setting of the job itself counts more, as on Azure; a threshold below zero is none.
        if own not in given or (own in ("error_threshold", "mini_batch_error_threshold") and given[own] < 0):
            given[own] = _number(name, number, kind)
    return Settings(**given, arguments=arguments)


def _among(arguments: list[str]) -> list[list[str]]:
    """[name, value] of Azure's settings among the arguments."""
    found = []
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in _ARGUMENTS and (equals or at + 1 < len(arguments)):
            found.append([name, value if equals else arguments[at + 1]])
    return found


def _number(name: str, text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"The argument {name} is '{text}' and must be a number.") from None
