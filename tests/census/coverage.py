"""docs/coverage.md: every method of the SDK and every operation of the control plane, and what each does here."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from tests.census.evidence import ROOT, shown_groups
from tests.census.operations import ArmOperation, arm_operations, job_kinds, sdk_methods
from tests.census.routes import is_built, route_of
from tests.census.sdk_table import sdk_table
from tests.census.storage_table import storage_operations

FILE = ROOT / "docs" / "coverage.md"
SAYS_501 = "tests/census/test_sdk_methods.py::test_not_built_says_501"
ARM_SAYS_501 = "tests/census/test_arm_operations.py::test_not_built_says_501"
KIND_SAYS_501 = "tests/census/test_job_kinds.py::test_other_kinds_say_501"
STORAGE_SAYS_501 = "tests/census/test_storage_operations.py::test_not_built_says_501"
_PROVIDER = "/providers/Microsoft.MachineLearningServices"
_WORKSPACE = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}" + _PROVIDER
Row = tuple[str, ...]


def document() -> str:
    methods, operations, storage = _sdk_rows(), _arm_rows(), _storage_rows()
    return "\n".join(
        [
            "# What is built",
            "",
            "Written by `python -m tests.census` from the installed SDK, the server's routes and the tests; a test holds",
            "this page to them. *Works* means that the test named beside it calls the operation for real and looks at",
            "its effect. *501* means that the server answers `501 NotImplemented` and names the operation.",
            "",
            f"| | works | 501 | {_CLIENT} | all |",
            "|---|---:|---:|---:|---:|",
            _totals(f"azure-ai-ml {_release()}: public methods of its operation classes", methods),
            _totals(f"azure-ai-ml {_release()}: operations of its control-plane client", operations),
            *(
                _totals(f"{service} service: REST operations", [row for row in storage if row[0].startswith(service)])
                for service in ("Blob", "Data Lake", "Files")
            ),
            "",
            "## SDK methods",
            "",
            *_table(("method", "here", "shown by"), methods),
            "",
            "## Kinds of jobs",
            "",
            *_table(("jobType", "here", "shown by"), [_kind_row(kind) for kind in job_kinds()]),
            "",
            "## Control-plane operations",
            "",
            "`{WS}` is a workspace's id, `{RP}` a resource group's `/providers/Microsoft.MachineLearningServices`.",
            "",
            *_table(("operation", "here", "request", "shown by"), operations),
            "",
            "## Storage operations",
            "",
            "Of the Blob, Data Lake Storage Gen2 and Files services, by the names of their REST references; the list is",
            "`tests/census/storage_operations.toml`. Tests of what works use the unmodified storage clients, or raw requests",
            "where the clients send none.",
            "",
            *_table(("operation", "here", "request", "shown by"), storage),
            "",
        ]
    )


_WORKS, _REFUSED, _CLIENT = "works", "501", "not asked of a server"


def _sdk_rows() -> list[Row]:
    table = sdk_table()
    rows: list[Row] = []
    for method in sdk_methods():
        name = method.name
        if name in table.works:
            rows.append((_code(name), _WORKS, _test(table.works[name])))
        elif name in table.not_yet:
            rows.append((_code(name), _REFUSED, _test(SAYS_501)))
        else:
            rows.append((_code(name), _CLIENT, table.client_only[name]))
    return rows


def _kind_row(kind: str) -> Row:
    test = sdk_table().job_kinds.get(kind)
    return _code(kind), _WORKS if test else _REFUSED, _test(test or KIND_SAYS_501)


def _arm_rows() -> list[Row]:
    return [_arm_row(operation) for operation in arm_operations()]


def _arm_row(operation: ArmOperation) -> Row:
    route = route_of(operation)
    built = route is not None and is_built(route)
    test = shown_groups()[operation.group] if built else ARM_SAYS_501
    path = operation.path.replace(_WORKSPACE + "/workspaces/{workspaceName}", "{WS}").replace(_WORKSPACE, "{RP}")
    request = f"{operation.method} {path}"
    return _code(operation.name), _WORKS if built else _REFUSED, _code(request), _test(test)


def _storage_rows() -> list[Row]:
    return [
        (
            f"{one.service}: {_code(one.name)}",
            _WORKS if one.test else _REFUSED,
            _code(one.request.replace(" | ", ", ")),
            _test(one.test or STORAGE_SAYS_501),
        )
        for one in storage_operations()
    ]


def _totals(title: str, rows: list[Row]) -> str:
    counts = [sum(row[1] == state for row in rows) for state in (_WORKS, _REFUSED, _CLIENT)]
    return f"| {title} | {' | '.join(map(str, counts))} | {len(rows)} |"


def _table(heads: Row, rows: Iterable[Row]) -> list[str]:
    return [_line(heads), _line(("---",) * len(heads)), *map(_line, rows)]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return f"`{text}`"


def _test(id_: str) -> str:
    file, name = id_.split("::")
    return f"[{name}](../{file})"


def _release() -> str:
    return ".".join(version("azure-ai-ml").split(".")[:2])
