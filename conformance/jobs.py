"""Job YAML files, loaded and submitted by the SDK."""

from __future__ import annotations

import time
from pathlib import Path

from conformance import platform, sandbox
from conformance.manifest import Case


def run(case: Case, file: Path, place: platform.Place) -> list[str]:
    """Submit the job and wait until it has ended; returns notes. Raises TimeoutError and what the SDK raises."""
    from azure.ai.ml import load_job

    values = place.values() if case.patches else {}
    file.write_text(sandbox.patched(file.read_text(), case.patches, values))
    with platform.quiet():
        place.client.jobs.create_or_update(load_job(file))
    platform.wait(place.client, 0, time.monotonic() + case.timeout_minutes * 60)
    return []
