"""`python -m tests.fuzz`: 30,000 malformed requests to a server of its own, and what came of them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import Findings, fuzz
from tests.server_fixture import RunningServer
from tests.torture.chaos import end


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same requests")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lazulite-fuzz-", ignore_cleanup_errors=True) as folder:
        server = RunningServer(Path(folder) / "home")
        server.home.mkdir()
        server.start()
        try:
            findings = fuzz(server, given.requests, given.seed, lambda text: print(text, flush=True))
        finally:
            server.stop()
            end(server.home)  # jobs that a request happened to start
    print(report(findings))
    return 1 if findings.faults else 0


def report(findings: Findings) -> str:
    counts = ", ".join(f"{number} x {status or 'closed'}" for status, number in sorted(findings.statuses.items()))
    lines = [
        *(f"fault: {fault}" for fault in findings.faults[:40]),
        f"{findings.sent} requests in {findings.seconds:.0f} s, {len(findings.faults)} faults",
        f"answers: {counts}",
        f"slowest answer {findings.slowest_s:.2f} s ({findings.slowest[:200]})",
        f"slowest /healthz {findings.slowest_health_s:.2f} s; ended on SIGTERM in {findings.stopped_s:.2f} s",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
