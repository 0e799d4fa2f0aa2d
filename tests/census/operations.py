"""What the installed azure-ai-ml can ask for: public methods of its operation classes, and its ARM operations."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_type_hints

from azure.ai import ml
from azure.ai.ml import MLClient
from azure.ai.ml._restclient.arm_ml_service.models import JobType

_OPERATIONS = "azure.ai.ml.operations."
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class SdkMethod:
    """`attribute` is that of MLClient, such as `jobs`; `operations` the class behind it."""

    attribute: str
    operations: str
    method: str

    @property
    def name(self) -> str:
        return f"{self.attribute}.{self.method}"


@dataclass(frozen=True, slots=True)
class ArmOperation:
    """One operation of the control plane. `path` is the client's template, with `{names}` in braces."""

    group: str
    verb: str
    method: str
    path: str

    @property
    def name(self) -> str:
        return f"{self.group}.{self.verb}"

    def example_path(self, values: dict[str, str]) -> str:
        """The template filled in; names that `values` lacks are filled with a plausible one."""
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], f"{found[1].lower()}-1"), self.path)


@cache
def sdk_methods() -> tuple[SdkMethod, ...]:
    """Every public method of the operation classes that an MLClient's public properties are of, by name."""
    found = [
        SdkMethod(attribute, operations.__name__, method)
        for attribute, operations in _operation_classes()
        for method, _ in inspect.getmembers(operations, callable)
        if not method.startswith("_")
    ]
    return tuple(sorted(found, key=lambda method: method.name))


@cache
def arm_operations() -> tuple[ArmOperation, ...]:
    """Every operation of the SDK's generated control-plane client, in its own order."""
    source = Path(ml.__path__[0]) / "_restclient" / "arm_ml_service" / "operations" / "_operations.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    groups = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return tuple(operation for group in groups for operation in _operations(group, functions))


def job_kinds() -> list[str]:
    """The values of `jobType` that the control-plane client knows."""
    return [kind.value for kind in JobType]


def _operation_classes() -> Iterator[tuple[str, type]]:
    for attribute, member in inspect.getmembers(MLClient, lambda member: isinstance(member, property)):
        operations = get_type_hints(member.fget).get("return")
        if not attribute.startswith("_") and getattr(operations, "__module__", "").startswith(_OPERATIONS):
            yield attribute, operations


def _operations(group: ast.ClassDef, builders: dict[str, ast.FunctionDef]) -> Iterator[ArmOperation]:
    """A group's methods call one `build_<group>_<verb>_request` each; long-running ones do so in `_<verb>_initial`."""
    name = group.name.removesuffix("Operations") or group.name
    seen = set()
    for node in ast.walk(group):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in builders:
            continue
        if node.func.id not in seen:
            seen.add(node.func.id)
            method, path = _request(builders[node.func.id])
            yield ArmOperation(name, _verb(node.func.id, name), method, path)


def _verb(builder: str, group: str) -> str:
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", group).lower()
    return builder.removeprefix(f"build_{snake}_").removesuffix("_request")


def _request(builder: ast.FunctionDef) -> tuple[str, str]:
    """The HTTP method and the url template a request builder holds."""
    path = next(
        node.value.value
        for node in ast.walk(builder)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "_url"
        and isinstance(node.value, ast.Constant)
    )
    method = next(
        keyword.value.value
        for node in ast.walk(builder)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "method" and isinstance(keyword.value, ast.Constant)
    )
    return str(method), str(path)
