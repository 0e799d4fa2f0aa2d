"""Many rows in one statement, past SQLAlchemy's expression language: the hot paths of logging and of searches."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection


@dataclass(frozen=True, slots=True)
class Upsert:
    """`insert ... on conflict`, run for many rows at once by the driver itself: the hot path of logging.

    On PostgreSQL all rows are one statement, whose parameters are columns.
    """

    columns: tuple[str, ...]
    key: tuple[int, ...]
    replaces: bool
    sqlite: str
    postgres: str

    def run(self, c: Connection, rows: list[tuple[Any, ...]]) -> None:
        """Rows in the order of `columns`. Of several with the same key the last replaces those before it."""
        if c.dialect.name == "sqlite":
            c.exec_driver_sql(self.sqlite, rows)
        elif rows:
            if self.replaces:  # one statement may not replace a row twice
                rows = list({tuple(row[n] for n in self.key): row for row in rows}.values())
            c.exec_driver_sql(self.postgres, tuple(list(column) for column in zip(*rows, strict=True)))


def upsert(table: sa.Table, replace: Sequence[str] = (), where: str = "") -> Upsert:
    """Insert, or `replace` these columns where a row of the same primary key is there; without any, leave that row.

    `where` may compare `excluded` (the new row) with the table's (the one there).
    """
    names = tuple(column.name for column in table.columns)
    key = [column.name for column in table.primary_key]
    then = "update set " + ", ".join(f"{name} = excluded.{name}" for name in replace) if replace else "nothing"
    if where:
        then += f" where {where}"
    into = f"insert into {table.name} ({', '.join(names)})"
    conflict = f"on conflict ({', '.join(key)}) do {then}"
    arrays = ", ".join(f"cast(%s as {_postgres_type(column)}[])" for column in table.columns)
    return Upsert(
        names,
        tuple(names.index(name) for name in key),
        bool(replace),
        f"{into} values ({', '.join('?' for _ in names)}) {conflict}",
        f"{into} select * from unnest({arrays}) {conflict}",  # noqa: S608
    )


def rows_of(c: Connection, columns: str, table: str, owner: str, numbers: Sequence[int]) -> Iterable[tuple[Any, ...]]:
    """`select columns from table` where `owner` is one of `numbers`, in one parameter however many they are.

    `columns`, `table` and `owner` are SQL of ours.
    """
    if not numbers:
        return ()
    query = f"select {columns} from {table} where {owner} in (select number from {list_parameter(c)})"  # noqa: S608
    return c.exec_driver_sql(query, (list_value(c, numbers),)).tuples()


def list_parameter(c: Connection, name: str | None = None) -> str:
    """A table in SQL with the one column `number`: the integers of a parameter made by `list_value`.

    The parameter is `:name`, or the driver's own mark where there is no name.
    """
    mark = f":{name}" if name else _mark(c)
    if c.dialect.name == "sqlite":
        return f"(select value as number from json_each({mark})) numbers"  # noqa: S608
    return f"unnest(cast({mark} as bigint[])) as numbers(number)"


def list_value(c: Connection, numbers: Sequence[int]) -> str | list[int]:
    return json.dumps(list(numbers)) if c.dialect.name == "sqlite" else list(numbers)


def _postgres_type(column: sa.Column[Any]) -> str:
    return column.type.compile(postgresql.dialect()).split(" COLLATE")[0]  # type: ignore[no-untyped-call]


def _mark(c: Connection) -> str:
    return "?" if c.dialect.paramstyle == "qmark" else "%s"
