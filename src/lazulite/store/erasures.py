"""Files that are to be erased because what they belonged to was deleted: noted with the deletion, done after it.

A row stays until its files are gone, so that a server that is stopped in between goes on where the rows say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.store import resources
from lazulite.store.database import changed
from lazulite.store.experiments import workspace_number
from lazulite.store.run_tables import logged_models
from lazulite.store.tables import erasures

#: Before the number of a row, in what a commit announces.
HINT = "/erasures/"
#: Before a path in a workspace's own artifact store: no other workspace's files lie there.
_ARTIFACTS = "/datastores/workspaceartifactstore/paths/"
_ASSETS = tuple(
    f"microsoft.machinelearningservices/workspaces/{collection}/versions"
    for collection in ("codes", "components", "data", "environments", "models")
)


@dataclass(frozen=True, slots=True)
class Erasure:
    """All below `path` in a container, or the whole account. `scope` is the key of what was deleted.

    `home` is the key of the workspace whose assets may lie among the files.
    """

    number: int
    scope: str
    account: str
    container: str | None
    path: str
    home: str


def note(c: Connection, scope: str, account: str, container: str | None = None, path: str = "", home: str = "") -> None:
    """Have the files erased once this transaction is durable."""
    values = {
        "scope": arm_id.key(scope),
        "account": account,
        "container": container,
        "path": path,
        "home": arm_id.key(home) if home else "",
    }
    number = c.execute(erasures.insert().returning(erasures.c.number), values).scalar_one()
    changed(c, [f"{HINT}{number}"])


def numbers(c: Connection) -> list[int]:
    return list(c.scalars(sa.select(erasures.c.number).order_by(erasures.c.number)))


def get(c: Connection, number: int) -> Erasure | None:
    row = c.execute(sa.select(erasures).where(erasures.c.number == number)).first()
    return Erasure(*row) if row else None


def done(c: Connection, erasure: Erasure) -> None:
    c.execute(erasures.delete().where(erasures.c.number == erasure.number))


def pending(c: Connection, scope: str) -> bool:
    """Whether files of what lay at `scope` or below it are still to be erased."""
    where = resources.at_or_below(erasures.c.scope, scope)
    return c.execute(sa.select(erasures.c.number).where(where).limit(1)).first() is not None


def pending_account(c: Connection, account: str) -> bool:
    """Whether the files of a deleted account of that name are still to be erased."""
    where = (sa.func.lower(erasures.c.account) == account.lower()) & erasures.c.container.is_(None)
    return c.execute(sa.select(erasures.c.number).where(where).limit(1)).first() is not None


def pending_at(c: Connection, home: str, path: str) -> bool:
    """Whether the files below `path` of the workspace `home` are still to be erased."""
    where = (erasures.c.home == arm_id.key(home)) & (erasures.c.path == path)
    return c.execute(sa.select(erasures.c.number).where(where).limit(1)).first() is not None


def kept(c: Connection, erasure: Erasure) -> list[str]:
    """What of the files is to stay: paths that assets of any workspace name, and all below them."""
    if not erasure.home:
        return []
    named = re.compile(r"([^\"]*?)" + re.escape(erasure.path) + r"((?:/[^\"?#\\]*)?)[\"?#\\]")
    found = set()
    own = f"/workspaces/{erasure.home.rsplit('/', 1)[1]}/"
    for _, text in resources.mentioning(c, _ASSETS, erasure.path, "%"):  # an address may be percent-encoded
        for lead, rest in named.findall(unquote(text)):
            if own in lead.lower() or not lead.lower().endswith(_ARTIFACTS) or "/workspaces/" not in lead.lower():
                found.add((erasure.path + rest).rstrip("/"))
    in_home = logged_models.c.workspace == workspace_number(erasure.home)
    return sorted(found.union(c.scalars(sa.select(logged_models.c.path).where(in_home, _within(erasure.path)))))


def _within(path: str) -> sa.ColumnElement[bool]:
    return (logged_models.c.path >= f"{path}/") & (logged_models.c.path < f"{path}0")
