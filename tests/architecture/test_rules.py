"""The rules that keep the project simple, each as a test."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from tests.census.routes import router

from lazulite.server.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "lazulite"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted(folder for folder in PACKAGE.iterdir() if (folder / "__init__.py").exists())
MAY_READ_THE_ENVIRONMENT = ("server/settings.py", "node/", "cli/")
MODULE_LINES = 600
FUNCTION_LINES = 80
#: Of a parallel job's own environment: imported inside functions, where an input calls for them.
OF_THE_JOB = {"mltable", "pandas", "pyarrow", "yaml"}
VAGUE_NAMES = {"utils.py", "common.py", "helpers.py", "manager.py", "misc.py"}


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 100
    assert {"api", "core", "engine", "node", "server", "storage"} <= {room.name for room in ROOMS}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MODULE_LINES
    assert [f"{name}: {lines} lines" for name, lines in _functions(tree) if lines > FUNCTION_LINES] == []
    assert module.name not in VAGUE_NAMES
    if not str(module.relative_to(PACKAGE)).startswith(MAY_READ_THE_ENVIRONMENT):
        assert list(_environment_reads(tree)) == [], "only server/settings.py, node/ and cli/ may read the environment"


def test_whole_numbers_are_read_in_one_way() -> None:
    """`str.isdigit` is true of `²`, which `int` refuses, as it does of 5,000 digits: `core.numbers.whole_number`."""
    found = []
    for module in MODULES:
        if not str(module.relative_to(PACKAGE)).startswith("node/"):  # which stands alone, and reads no client's text
            text = module.read_text(encoding="utf-8")
            found += [f"{module.name}: {name}" for name in ("isdigit", "isdecimal", "isnumeric") if f".{name}" in text]
    assert found == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: path.name)
def test_room_says_what_it_is_for(room: Path) -> None:
    words = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(words.split()) >= 10


def test_rooms_import_downwards_only() -> None:
    checker = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([checker, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]


def test_the_agent_needs_the_standard_library_alone() -> None:
    for module in sorted((PACKAGE / "node").rglob("*.py")):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        at_once = set(_imports(tree, deep=False))
        for name in _imports(tree):
            top = name.split(".")[0]
            later = module.parent.name == "parallel" and top in OF_THE_JOB and name not in at_once
            known = top in sys.stdlib_module_names or name.startswith("lazulite.node")
            assert known or later, f"{module.name} imports {name}"


def test_the_driver_of_parallel_jobs_stands_alone() -> None:
    for module in sorted((PACKAGE / "node" / "parallel").glob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            assert not isinstance(node, ast.ImportFrom) or node.level < 2, f"{module.name} imports the agent"


def test_every_route_declares_a_permission() -> None:
    for route in router().routes:
        assert route.permission in ("public", "authenticated") or "/" in route.permission, route
        assert route.operation


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = {
        line.split("|")[1].strip(): line.split("|")[2].strip() for line in page.splitlines() if line.startswith("| `")
    }
    expected = {f"`{field.name}`": f"`{_default(field)}`" for field in fields(Settings) if field.name != "home"}
    assert rows == expected


def test_every_setting_is_read() -> None:
    read = {node.attr for module in MODULES for node in ast.walk(_tree(module)) if isinstance(node, ast.Attribute)}
    assert {field.name for field in fields(Settings)} - read == set()


def _default(field: object) -> str:
    factory = getattr(field, "default_factory", MISSING)
    return json.dumps(getattr(field, "default", None) if factory is MISSING else factory())  # type: ignore[operator]


def _tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def _functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _environment_reads(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from (node.lineno for alias in node.names if alias.name in ("environ", "environb", "getenv"))


def _imports(tree: ast.Module, *, deep: bool = True) -> Iterator[str]:
    for node in ast.walk(tree) if deep else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield ("lazulite.node." if node.level else "") + (node.module or "")
