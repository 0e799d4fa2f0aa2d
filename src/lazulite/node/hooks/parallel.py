"""A parallel job's driver: its package beside the working directory, and what it is to do."""

import json
import os
import shutil

from ..run import Run

#: Below the run's `exe`; the command names it as `../lazulite_parallel`.
FOLDER = "lazulite_parallel"
_SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "parallel")


def prepare(run: Run) -> None:
    asked = run.plan.get("parallel")
    if asked is None:
        return
    folder = run.path("exe", FOLDER)
    shutil.copytree(_SOURCE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    settings = {
        name: value for name, value in asked.items() if name not in ("input", "append_to") and value is not None
    }
    settings["data"] = run.values[f"inputs.{asked['input']}"]
    settings["is_table"] = run.plan["inputs"][asked["input"]]["type"] == "mltable"
    settings["append_to"] = run.values[f"outputs.{asked['append_to']}"] if asked["append_to"] else None
    with open(os.path.join(folder, "settings.json"), "w", encoding="utf-8") as file:
        json.dump(settings, file)
