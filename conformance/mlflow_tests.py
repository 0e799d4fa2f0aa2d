"""MLflow's own tests of its client, against a server here in place of the ones they start.

`mlflow_plugin` makes the exchange, in an environment with the release of MLflow that the checkout is of. Tests that differ
are named in `mlflow.toml` with the reason; any other failure is ours to mend.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lazulite
from conformance import venvs
from lazulite.cli.variables import workspace_id

_PLUGIN = "mlflow_plugin"
_LIMIT_S = 3600


class CannotRun(Exception):
    """MLflow's tests cannot be run; the message says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`files` are run; what matches `left_out` is not. `differing` maps patterns of test names to reasons."""

    files: tuple[str, ...]
    packages: tuple[str, ...]
    left_out: dict[str, str]
    differing: dict[str, str]

    def reason(self, test: str) -> str:
        """Why this test may fail; empty where it must not."""
        return next((why for pattern, why in self.differing.items() if matches(test, pattern)), "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one test: passed, failed or skipped, and why."""

    test: str
    outcome: str
    reason: str = ""

    @property
    def file(self) -> str:
        return self.test.partition("::")[0]


def run(checkout: Path, platform: lazulite.Activation, scratch: Path, only: str = "") -> tuple[str, int]:
    """The report and the exit code: 0 if every test passed that is not known to differ. Raises CannotRun."""
    manifest = load(Path(__file__).with_name("mlflow.toml"))
    release = _release(checkout)
    shutil.copytree(checkout / "tests", scratch / "tests")
    for name in ("pyproject.toml", "pytest.ini", "conftest.py"):
        if (checkout / name).exists():
            shutil.copy2(checkout / name, scratch)
    shutil.copy2(Path(__file__).with_name(f"{_PLUGIN}.py"), scratch)
    try:
        python = venvs.interpreter(platform.home / "mlflow", (f"mlflow=={release}", *manifest.packages))
    except venvs.NoEnvironment as error:
        raise CannotRun(f"the environment for MLflow {release} cannot be made:\n{error}") from None
    said = _pytest(python, manifest, platform, scratch, only)
    outcomes = read(scratch / "report.jsonl")
    if not outcomes:
        raise CannotRun(f"no test of MLflow {release} ran:\n{said[-3000:]}")
    return report(outcomes, manifest, release)


def load(path: Path) -> Manifest:
    """The manifest, as it lies beside this module."""
    document = tomllib.loads(path.read_text())

    def reasons(name: str) -> dict[str, str]:
        return {test: entry["reason"] for entry in document.get(name, []) for test in entry["tests"]}

    return Manifest(tuple(document["files"]), tuple(document["packages"]), reasons("left_out"), reasons("differs"))


def matches(test: str, pattern: str) -> bool:
    """Whether a pattern names the test: as a whole, or but for its parameters. Brackets in it stand for themselves."""
    quoted = pattern.replace("[", "[[]")
    return fnmatch.fnmatchcase(test, quoted) or fnmatch.fnmatchcase(test.partition("[")[0], quoted)


def read(file: Path) -> list[Outcome]:
    """What the plugin reported, the last word on each test."""
    if not file.exists():
        return []
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    found = {entry["test"]: Outcome(entry["test"], entry["outcome"], entry["reason"]) for entry in entries}
    failed = {e["test"]: Outcome(e["test"], "failed", e["reason"]) for e in entries if e["outcome"] == "failed"}
    return list((found | failed).values())


def report(outcomes: list[Outcome], manifest: Manifest, release: str) -> tuple[str, int]:
    """A line for each file, then the known differences, then the failures; and the exit code."""
    counts: dict[str, Counter[str]] = {}
    differing: dict[str, list[str]] = {}
    failures: list[Outcome] = []
    mended: list[str] = []
    for outcome in outcomes:
        why, verdict = manifest.reason(outcome.test), outcome.outcome
        if verdict == "failed" and why:
            verdict = "differs"
            differing.setdefault(why, []).append(outcome.test)
        elif verdict == "failed":
            failures.append(outcome)
        elif verdict == "passed" and why:
            mended.append(outcome.test)
        counts.setdefault(outcome.file, Counter())[verdict] += 1
    columns = ("passed", "differs", "skipped", "failed")
    width = max(len(file) for file in counts)
    lines = [f"MLflow {release}", f"{'FILE':<{width}}" + "".join(f"{column.upper():>9}" for column in columns)]
    lines += [
        f"{file:<{width}}" + "".join(f"{count[column]:>9}" for column in columns) for file, count in counts.items()
    ]
    total = sum(counts.values(), Counter[str]())
    lines += [f"{'all':<{width}}" + "".join(f"{total[column]:>9}" for column in columns)]
    lines += ["", *(f"{len(tests):>4} differ: {why}" for why, tests in differing.items())]
    lines += ["", *(f"No longer differs: {test}" for test in mended)] if mended else []
    for failure in failures:
        lines += ["", f"FAILED {failure.test}", *(f"    {line}" for line in failure.reason.splitlines())]
    return "\n".join(lines), 1 if failures else 0


def _pytest(python: str, manifest: Manifest, platform: lazulite.Activation, scratch: Path, only: str) -> str:
    files = [file for file in manifest.files if (scratch / file.partition("::")[0]).exists()]
    deselected = "|".join(fnmatch.translate(pattern.replace("[", "[[]")) for pattern in manifest.left_out)
    environment = {name: value for name, value in os.environ.items() if not _is_leftover(name)} | {
        "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
        "LAZULITE_TESTS_URL": platform.http_url,
        "LAZULITE_TESTS_GROUP": workspace_id().partition("/providers/")[0],
        "LAZULITE_TESTS_LEFT_OUT": deselected,
        "LAZULITE_TESTS_REPORT": str(scratch / "report.jsonl"),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    }
    command = [python, "-m", "pytest", "-p", _PLUGIN, "--quiet", "--tb=no", "--color=no", "--timeout=120"]
    command += ["--continue-on-collection-errors", *(["-k", only] if only else []), *files]
    with (scratch / "pytest.log").open("wb") as log:
        subprocess.run(command, cwd=scratch, env=environment, stdout=log, stderr=log, timeout=_LIMIT_S, check=False)
    return (scratch / "pytest.log").read_text(errors="replace")


def _is_leftover(name: str) -> bool:
    """MLflow's tests set these themselves, and fail where they are set."""
    return name.startswith("MLFLOW_") and name != "MLFLOW_TRACKING_TOKEN"


def _release(checkout: Path) -> str:
    """Raises CannotRun."""
    try:
        text = (checkout / "mlflow" / "version.py").read_text()
    except OSError:
        raise CannotRun(f"{checkout} is no checkout of MLflow: it has no mlflow/version.py") from None
    found: Any = re.search(r"^VERSION = [\"'](\d+\.\d+\.\d+)[\"']", text, re.MULTILINE)
    if found is None:
        raise CannotRun("the checkout is not of a release of MLflow: tests and client must be of one version")
    return str(found[1])
