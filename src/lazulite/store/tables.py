"""Every table. Times are ISO 8601 text in UTC unless the name ends in `_ms` (milliseconds since the epoch)."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

#: Every ARM resource. `key` is its id in lower case; `spec` what users wrote, `status` what controllers observed.
resources = sa.Table(
    "resources",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),  # order of creation, for paging
    sa.Column("key", sa.String, nullable=False, unique=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("type", sa.String, nullable=False),  # lower case: microsoft.machinelearningservices/workspaces/jobs
    sa.Column("parent", sa.String, nullable=False),  # key of the parent resource, or of the resource group
    sa.Column("name", sa.String, nullable=False),
    sa.Column("spec", sa.LargeBinary, nullable=False),  # JSON
    sa.Column("status", sa.LargeBinary, nullable=False),  # JSON
    sa.Column("state", sa.String),  # promoted from status: what loops select by
    sa.Column("label", sa.String),  # promoted: a code's hash, a job's parent, whatever a type looks itself up by
    sa.Column("archived", sa.Boolean, nullable=False, default=False),
    sa.Column("generation", sa.Integer, nullable=False, default=1),
    sa.Column("etag", sa.String, nullable=False),
    sa.Column("created_at", sa.String, nullable=False),
    sa.Column("created_by", sa.String, nullable=False),
    sa.Column("modified_at", sa.String, nullable=False),
    sa.Column("modified_by", sa.String, nullable=False),
    sa.Index("resources_children", "parent", "type", "sequence"),
    sa.Index("resources_state", "type", "state"),
    sa.Index("resources_label", "type", "label"),
    sqlite_autoincrement=True,  # a row's number is never another's, so that it tells a resource from its namesake
)

#: Long-running operations a client may poll. `state` InProgress: it follows from its resource, by the document.
operations = sa.Table(
    "operations",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("resource", sa.String, nullable=False, index=True),  # lower case
    sa.Column("state", sa.String, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Column("started_at", sa.String, nullable=False),
    sa.Column("ended_at", sa.String),
)

#: Files of what was deleted, until they are gone. `scope` is the key of what was deleted.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("scope", sa.String, nullable=False, index=True),
    sa.Column("account", sa.String, nullable=False),
    sa.Column("container", sa.String),  # NULL: the account as a whole
    sa.Column("path", sa.String, nullable=False),
    sa.Column("home", sa.String, nullable=False),  # key of the workspace whose assets may lie among the files
    sa.Index("erasures_path", "home", "path"),
)

#: Sealed secrets: ciphertext only, the key lies outside the database.
secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("modified_at", sa.String, nullable=False),
)

#: Who may come in: users and service principals. `secret_hash` is SHA-256 of a random 256-bit key.
principals = sa.Table(
    "principals",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),  # User | ServicePrincipal
    sa.Column("secret_hash", sa.String, nullable=False, index=True),
)

role_assignments = sa.Table(
    "role_assignments",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("principal", sa.String, nullable=False, index=True),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("scope", sa.String, nullable=False),  # lower case
)

#: Append-only history of what happened to resources; it goes with them.
events = sa.Table(
    "events",
    metadata,
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("resource", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

from lazulite.store import evaluation_tables as evaluation_tables  # noqa: E402
from lazulite.store import review_tables as review_tables  # noqa: E402
from lazulite.store import run_tables as run_tables  # noqa: E402  so that `metadata` knows them, whoever asks first
from lazulite.store import trace_tables as trace_tables  # noqa: E402
from lazulite.store import webhook_tables as webhook_tables  # noqa: E402
