"""Which GPU a worker sees: one of its own, as long as there is one for each."""

from __future__ import annotations

import os

_NAME = "CUDA_VISIBLE_DEVICES"


def variables(place: int, folder: str = "/dev") -> dict[str, str]:
    """For the worker of that place among all; workers share where there are fewer GPUs. Empty where there is none."""
    given = os.environ.get(_NAME)
    found = given.split(",") if given is not None else [str(number) for number in range(_count(folder))]
    return {_NAME: found[place % len(found)]} if found else {}


def _count(folder: str) -> int:
    return sum(name.startswith("nvidia") and name[len("nvidia") :].isdigit() for name in os.listdir(folder))
