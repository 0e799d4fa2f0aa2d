"""What README and the pages of docs/ show as code: blocks between fences, and the lines of them that are commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
SHELL = ("sh", "bash", "console")


@dataclass(frozen=True, slots=True)
class Block:
    """The text between two fences; `line` is the number of the first fence."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks() -> list[Block]:
    return [block for page in PAGES for block in _of(page)]


def code(page: Path) -> list[str]:
    """Everything on a page that is set as code: the lines of its blocks, and what stands between backticks in its text."""
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE))
    return inline + [line for block in _of(page) for line in block.text.splitlines()]


def _of(page: Path) -> list[Block]:
    found: list[Block] = []
    start, language, lines = 0, "", list[str]()
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = re.fullmatch(r"```(\w*)", line)
        if fence is None:
            lines.append(line)
        elif start:
            found.append(Block(page, start, language, "\n".join(lines)))
            start = 0
        else:
            start, language, lines = number, fence[1], []
    return found
