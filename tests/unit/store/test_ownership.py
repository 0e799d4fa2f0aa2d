"""A deleted workspace leaves no row behind, in any table there is."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core.arm_id import workspace_id
from lazulite.store import ownership
from lazulite.store.database import Database
from lazulite.store.experiments import workspace_number
from lazulite.store.tables import metadata

#: Of the whole server: resources and secrets are removed by their ids.
_OF_THE_SERVER = {
    "resources",
    "operations",
    "secrets",
    "principals",
    "role_assignments",
    "events",
    "erasures",
    "schema_version",
}
_TABLES = [table for table in metadata.sorted_tables if table.name not in _OF_THE_SERVER]


def test_a_deleted_workspace_leaves_no_row_and_others_keep_theirs(database_url: str) -> None:
    database = Database(database_url)
    try:
        for number in (1, 2):
            database.write_sync(lambda c, number=number: _fill(c, number))
        assert {name for name, numbers in _found(database).items() if numbers != {1, 2}} == set()
        database.write_sync(lambda c: ownership.delete_workspace(c, _workspace(1)))
        assert {name for name, numbers in _found(database).items() if numbers != {2}} == set()
    finally:
        database.close()


def _workspace(number: int) -> str:
    return workspace_id("s", "g", f"w{number}")


def _fill(c: Connection, number: int) -> None:
    """A row in every table whose numbers are all `number`: each hangs on the row above it."""
    for table in _TABLES:
        c.execute(table.insert().values({column.name: _value(column, number) for column in table.columns}))


def _value(column: sa.Column[Any], number: int) -> Any:
    if column.name == "workspace":
        return workspace_number(_workspace(number))
    kind = column.type.python_type
    return {bool: False, bytes: b"{}", str: f"t{number}"}.get(kind, number)


def _found(database: Database) -> dict[str, set[int]]:
    """Whose rows each table holds, told by the column of numbers that comes first."""

    def read(c: Connection) -> dict[str, set[int]]:
        return {table.name: {row[0] for row in c.execute(sa.select(_first_number(table)))} for table in _TABLES}

    return database.read_sync(read)


def _first_number(table: sa.Table) -> sa.Column[Any]:
    return next(column for column in table.columns if column.type.python_type is int and column.name != "workspace")
