"""Which test shows what: read from the tests' sources, so that nothing is run to write it down."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).parents[2]
ARM_TESTS = "tests/census/test_arm_operations.py"
_Test = TypeVar("_Test", bound=Callable[..., None])


def shows(*groups: str) -> Callable[[_Test], _Test]:
    """Marks the test that calls every operation of these groups that is built; a fixture sees to it that it does."""

    def mark(test: _Test) -> _Test:
        test.shows = groups  # type: ignore[attr-defined]
        return test

    return mark


@cache
def sources_of(file: str) -> dict[str, str]:
    """Name to source of each test function of a file, whose path is relative to the project."""
    text = (ROOT / file).read_text(encoding="utf-8")
    return {node.name: ast.get_source_segment(text, node) or "" for node in _test_functions(text)}


@cache
def shown_groups() -> dict[str, str]:
    """Group of ARM operations to the id of the test that shows it."""
    text = (ROOT / ARM_TESTS).read_text(encoding="utf-8")
    return {
        argument.value: f"{ARM_TESTS}::{node.name}"
        for node in _test_functions(text)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "shows"
        for argument in decorator.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def _test_functions(text: str) -> Iterator[ast.FunctionDef]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node
