"""What came of each case, as a table for people and an exit code for machines."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Result:
    """`reason` is empty where the case passed; `notes` say what was arranged or left out for it."""

    name: str
    seconds: float
    jobs: int
    reason: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.reason


def table(results: list[Result]) -> str:
    """One line per case, then the reasons of those that failed, then the count."""
    width = max((len(result.name) for result in results), default=4)
    lines = [f"{'CASE':<{width}}  {'RESULT':<7} {'TIME':>8} {'JOBS':>5}  NOTES"]
    for result in results:
        verdict = "passed" if result.passed else "FAILED"
        notes = "; ".join(result.notes)
        row = f"{result.name:<{width}}  {verdict:<7} {result.seconds:>6.1f} s {result.jobs:>5}  {notes}"
        lines.append(row.rstrip())
    for result in results:
        if not result.passed:
            lines += ["", f"{result.name}:", *(f"    {line}" for line in result.reason.strip().splitlines())]
    failed = sum(not result.passed for result in results)
    return "\n".join([*lines, "", f"{len(results) - failed} passed, {failed} failed"])


def exit_code(results: list[Result]) -> int:
    """0 if there were cases and all passed."""
    return 0 if results and all(result.passed for result in results) else 1
