"""`make bench`: every measurement, printed, and written to benchmarks/RESULTS.md with the machine's description."""

from __future__ import annotations

import argparse
import platform as machine
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import jobs, pipelines, storage, sweeps, tracking

RESULTS = Path(__file__).parent / "RESULTS.md"


SECTIONS: dict[str, Callable[[list[str]], list[dict[str, Any]]]] = {
    "Platform": jobs.main,
    "Storage": storage.main,
    "Tracking": tracking.main,
    "Pipelines": pipelines.main,
    "Sweeps": sweeps.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="examples:\n  python -m benchmarks\n  python -m benchmarks Tracking -- --seconds 4 --alone",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"measure these alone, of {', '.join(SECTIONS)}; the others stay"
    )
    arguments, options = _split(sys.argv[1:])
    wanted = parser.parse_args(arguments).sections or list(SECTIONS)
    if unknown := set(wanted) - SECTIONS.keys():
        parser.error(f"there is no section {', '.join(sorted(unknown))}; there is {', '.join(SECTIONS)}")
    written = dict(_written(RESULTS.read_text())) if RESULTS.exists() else {}
    for title in wanted:
        written[title] = _table(SECTIONS[title](options))
    RESULTS.write_text(document({title: written[title] for title in SECTIONS if title in written}))
    print(f"\nwritten to {RESULTS}")


def document(sections: dict[str, str]) -> str:
    """`sections` are tables by their titles."""
    lines = [
        "# Measured",
        "",
        "By `make bench`.",
        "Each table is of one run on a shared machine; compare what stands in one table, and the peers beside it.",
        "",
    ]
    for title, table in sections.items():
        lines += [f"## {title}", "", table, ""]
    return "\n".join(lines)


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What is for us, and after `--` what is for the section."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def _written(text: str) -> Iterator[tuple[str, str]]:
    """The tables of a document, by their titles."""
    for section in text.split("\n## ")[1:]:
        title, _, table = section.partition("\n")
        yield title.strip(), table.strip()


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {describe()}",
        "",
        "| " + " | ".join(columns) + " |",
        "|" + "---|" * len(columns),
    ]
    lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows]
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
