"""What the documents show as code can be pasted: no prompts, no output among commands, no command that there is not."""

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from lazulite.cli.main import build_parser, cut
from tests.docs.blocks import PAGES, SHELL, blocks, code

#: A command of ours, alone or within `eval "$(...)"`, to where the shell takes over.
_OURS = re.compile(r"(?:^!?|\$\()lazulite (?P<words>[^)`|]*)")


def test_blocks_of_commands_are_nothing_else() -> None:
    assert {block.language for block in blocks()} <= {"", "sh", "python", "toml", "text", "yaml"}
    for block in blocks():
        if block.language in SHELL:
            prompts = [line for line in block.text.splitlines() if line.startswith(("$ ", "> ", "% "))]
            assert prompts == [], block.place


def test_blocks_of_python_are_python() -> None:
    for block in blocks():
        if block.language == "python":
            try:
                ast.parse(block.text)
            except SyntaxError as error:
                pytest.fail(f"{block.place}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_ours_is_one(page: Path) -> None:
    for words in _commands(page):
        complaint = _complaint(words)
        # A text may mention a command without its arguments.
        assert complaint is None or "arguments are required" in complaint, f"{page.name}: {words}\n{complaint}"


def test_a_command_that_there_is_not_would_be_seen() -> None:
    assert "invalid choice" in (_complaint(["job", "open"]) or "")


def _commands(page: Path) -> Iterator[list[str]]:
    for line in code(page):
        for found in _OURS.finditer(line):
            words = shlex.split(re.sub(r"\[.*?\]", "", found["words"]), comments=True)
            if "..." not in words and words[:1] != ["COMMAND"]:
                yield words


def _complaint(words: list[str]) -> str | None:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            build_parser().parse_args(cut(words)[0])
    except SystemExit as end:
        return said.getvalue() if end.code else None
    return None
