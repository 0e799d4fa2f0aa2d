"""Shell scripts, run by bash in their folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from conformance import platform, sandbox
from conformance.manifest import Case

#: `python` is this one, with the SDK beside it.
_OWN = Path(sys.executable).parent


class ScriptFailed(Exception):
    """The script ended with another code than 0; the message holds the end of what it printed."""


def run(case: Case, file: Path, place: platform.Place) -> list[str]:
    """Run the script, then wait for the jobs it submitted; returns notes. Raises ScriptFailed and TimeoutError."""
    deadline = time.monotonic() + case.timeout_minutes * 60
    values = place.values() if case.patches else {}
    file.write_text(sandbox.patched(file.read_text(), case.patches, values))
    try:
        done = subprocess.run(
            ["bash", file.name],
            cwd=file.parent,
            env=os.environ
            | {"MLFLOW_TRACKING_URI": place.tracking_uri, "PATH": f"{_OWN}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=case.timeout_minutes * 60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"it has not ended after {case.timeout_minutes:g} minutes") from None
    if done.returncode:
        raise ScriptFailed(f"it ended with code {done.returncode}\n" + "\n".join(done.stdout.splitlines()[-15:]))
    platform.wait(place.client, 0, deadline)
    return []
