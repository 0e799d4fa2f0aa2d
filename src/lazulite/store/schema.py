"""Which version of the tables a database holds."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.store.tables import metadata

#: Rises with every change of the tables that a database made earlier does not have.
VERSION = 3

_versions = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))


class WrongSchema(Exception):
    """The database was made by another version of Lazulite; the message says what to do."""


def ensure(connection: Connection) -> None:
    """Make the tables of a new database, or check that an old one has those of this version. Raises WrongSchema."""
    names = set(sa.inspect(connection).get_table_names())
    if "resources" in names:
        found = connection.scalar(sa.select(_versions.c.version)) if "schema_version" in names else 0
        if found != VERSION:
            raise WrongSchema(
                f"the database has the tables of schema version {found}, and this Lazulite needs version {VERSION}. "
                "Start it with a new home (`--home DIR`), or go back to the version that made this one."
            )
        return
    if connection.dialect.name == "postgresql":
        _collate()
    metadata.create_all(connection)
    connection.execute(_versions.insert().values(version=VERSION))


def _collate() -> None:
    """Have PostgreSQL order text as SQLite does, by code point, whatever the language of the database.

    Prefixes (`startswith`) are looked up in an index under this collation alone.
    """
    for column in (column for table in metadata.tables.values() for column in table.columns):
        if isinstance(column.type, sa.String) and column.type.collation is None:
            column.type = type(column.type)(column.type.length).with_variant(
                type(column.type)(column.type.length, collation="C"), "postgresql"
            )
