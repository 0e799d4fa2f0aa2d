"""Principals and their role assignments: kept in the store, answered from memory."""

from __future__ import annotations

import hashlib
import secrets
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.errors import ApiError, bad_request, nearest
from lazulite.core.principal import Principal
from lazulite.identity.roles import BUILT_IN, JOB, Role, named
from lazulite.store import resources
from lazulite.store.database import Database
from lazulite.store.tables import principals, role_assignments


@dataclass(frozen=True, slots=True)
class Assignment:
    principal: str
    role: Role
    scope: str  # lower case ARM id; "/" is everything


@dataclass(frozen=True, slots=True)
class _Known:
    """One snapshot of the store."""

    by_hash: Mapping[str, Principal]
    by_id: Mapping[str, Principal]
    assignments: Mapping[str, list[Assignment]]


class Directory:
    """Answers `authenticate` and `allows`. One server process owns the store, so memory is the truth's mirror."""

    def __init__(self, database: Database, everyone: Mapping[str, Role] | None = None) -> None:
        """`everyone` are roles by scope that every authenticated principal holds, jobs too."""
        self._database = database
        self._everyone = {arm_id.key(scope): role for scope, role in (everyone or {}).items()}
        self._loading = threading.Lock()
        self._known = _Known({}, {}, {})
        database.read_sync(self._load)

    def authenticate(self, secret: str, *, principal_id: str | None = None) -> Principal | None:
        """The principal whose key this is. Keys are 256 random bits, so one SHA-256 protects them at rest."""
        found = self._known.by_hash.get(_digest(secret))
        if found is None or (principal_id is not None and found.id != principal_id):
            return None
        return found

    def get(self, principal_id: str) -> Principal | None:
        return self._known.by_id.get(principal_id)

    def allows(self, principal: Principal, action: str, scope: str) -> bool:
        """Whether an assignment at `scope` or above it covers `action`; of a job, whether its own right does too."""
        key = arm_id.key(scope) or "/"
        if any(_covers(shared, key) and role.allows(action) for shared, role in self._everyone.items()):
            return True
        if principal.run is not None:
            inside = principal.workspace is not None and _covers(arm_id.key(principal.workspace), key)
            if not (inside and JOB.allows(action)):
                return False
        held = self._known.assignments.get(principal.id, ())
        return any(_covers(a.scope, key) and a.role.allows(action) for a in held)

    def sees(self, principal: Principal, scope: str) -> bool:
        """Whether the principal holds any role at a subscription or group, above it or below it: Azure lists those."""
        key = arm_id.key(scope)
        if principal.run is not None:
            return _covers(key, arm_id.key(principal.workspace or "/"))
        held = self._known.assignments.get(principal.id, ())
        return any(_covers(a.scope, key) or _covers(key, a.scope) for a in held)

    async def create(
        self, name: str, role: str, scope: str, *, kind: str = "ServicePrincipal"
    ) -> tuple[Principal, str]:
        """A new principal with one role; returns it and its key, which is shown this once.

        Raises ApiError 400 where the role is not one of Azure's built-in ones, or nothing is at the scope.
        """
        wanted = named(role)
        if wanted is None:
            raise bad_request(f"There is no role '{role}'.{nearest(role, [r.name for r in BUILT_IN])}", "role")
        secret = secrets.token_urlsafe(32)
        principal = Principal(str(uuid.uuid4()), name, kind)

        def transaction(connection: Connection) -> None:
            # Where it is added: whatever is deleted meanwhile takes the roles held there along.
            if scope != "/" and not resources.exists(connection, scope):
                raise bad_request(f"scope '{scope}' is not '/' and not the id of anything on this server.", "scope")
            self.add(connection, principal, secret, wanted, scope)

        await self._database.write(transaction)
        await self.refresh()
        return principal, secret

    async def rotate(self, principal_id: str, secret: str = "") -> tuple[Principal, str]:
        """A new key (or `secret`) in the place of a principal's old one, which is good no more, nor are its tokens.

        Raises ApiError 404.
        """
        if principal_id not in self._known.by_id:
            raise _missing(principal_id)
        fresh = secret or secrets.token_urlsafe(32)
        where = principals.c.id == principal_id
        await self._database.write(
            lambda c: c.execute(principals.update().where(where).values(secret_hash=_digest(fresh)))
        )
        await self.refresh()
        found = self.get(principal_id)
        if found is None:  # removed meanwhile
            raise _missing(principal_id)
        return found, fresh

    @staticmethod
    def add(connection: Connection, principal: Principal, secret: str, role: Role, scope: str) -> None:
        """Store a principal and its assignment inside a transaction. Call `reload` after it."""
        connection.execute(
            principals.insert().values(
                id=principal.id, name=principal.name, kind=principal.kind, secret_hash=_digest(secret)
            )
        )
        connection.execute(
            role_assignments.insert().values(
                id=str(uuid.uuid4()), principal=principal.id, role=role.name, scope=arm_id.key(scope) or "/"
            )
        )

    async def remove(self, principal_id: str) -> None:
        """Take a principal's key and roles away. Raises ApiError 404."""
        if principal_id not in self._known.by_id:
            raise _missing(principal_id)

        def delete(connection: Connection) -> None:
            connection.execute(principals.delete().where(principals.c.id == principal_id))
            connection.execute(role_assignments.delete().where(role_assignments.c.principal == principal_id))

        await self._database.write(delete)
        await self.refresh()

    @staticmethod
    def forget(connection: Connection, scope: str) -> bool:
        """Take away the roles held at `scope` or below it, inside a transaction that removes what lies there.

        Whoever makes something of the same name later starts with nobody's rights. Returns whether there were any; then
        call `refresh` after it.
        """
        held = resources.at_or_below(role_assignments.c.scope, scope)
        return bool(connection.execute(role_assignments.delete().where(held)).rowcount)

    async def refresh(self) -> None:
        await self._database.read(self._load)

    def all(self) -> list[tuple[Principal, list[Assignment]]]:
        known = self._known
        return [(p, known.assignments.get(p.id, [])) for p in known.by_id.values()]

    def reload(self) -> None:
        self._database.read_sync(self._load)

    def _load(self, connection: Connection) -> None:
        with self._loading:  # the snapshot begins in here, so that what is loaded last is the newest
            rows = list(connection.execute(sa.select(principals)))
            by_hash = {r.secret_hash: Principal(r.id, r.name, r.kind, key=_mark(r.secret_hash)) for r in rows}
            assignments: dict[str, list[Assignment]] = {}
            for row in connection.execute(sa.select(role_assignments)):
                if role := named(row.role):
                    assignments.setdefault(row.principal, []).append(Assignment(row.principal, role, row.scope))
            self._known = _Known(by_hash, {p.id: p for p in by_hash.values()}, assignments)


def _missing(principal_id: str) -> ApiError:
    return ApiError(404, "PrincipalNotFound", f"There is no principal '{principal_id}'.", target="id")


def _mark(secret_hash: str) -> str:
    """What tokens carry of the key they were got with: it tells keys apart, and nothing of them."""
    return hashlib.sha256(secret_hash.encode()).hexdigest()[:16]


def _covers(scope: str, key: str) -> bool:
    return scope == "/" or key == scope or key.startswith(scope + "/")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
