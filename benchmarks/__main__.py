"""`make bench`: every measurement, printed, and written to benchmarks/RESULTS.md with the machine's description."""

from __future__ import annotations

import platform as machine
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import jobs, pipelines, storage, sweeps, tracking

RESULTS = Path(__file__).parent / "RESULTS.md"


def main() -> None:
    sections = {
        "Platform": jobs.main([]),
        "Storage": storage.main([]),
        "Tracking": tracking.main([]),
        "Pipelines": pipelines.main([]),
        "Sweeps": sweeps.main([]),
    }
    RESULTS.write_text(document(sections))
    print(f"\nwritten to {RESULTS}")


def document(sections: dict[str, list[dict[str, Any]]]) -> str:
    lines = [
        "# Measured",
        "",
        f"`make bench`, {datetime.now(UTC):%Y-%m-%d}. {describe()}",
        "Figures of one run on a shared machine; compare what stands in one table, and the peers beside it.",
        "",
    ]
    for title, rows in sections.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines += [f"## {title}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def describe() -> str:
    cores = len([line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")])
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ":?")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024 // 1024
    return (
        f"{cores} cores ({model.split(':', 1)[1].strip()}), {memory} GiB, {machine.system()} {machine.release()}, "
        f"Python {sys.version.split()[0]}."
    )


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


if __name__ == "__main__":
    main()
