"""Envelope encryption: each secret under its own AES-256-GCM key, that key under the home's master key."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.engine import Connection

from lazulite.core import arm_id
from lazulite.core.clock import now_iso
from lazulite.store import resources
from lazulite.store.tables import secrets

_NONCE = 12
_WRAPPED = _NONCE + 32 + 16


class SealedSecrets:
    """Named secrets of a scope (an ARM id). Every call runs inside the caller's transaction."""

    def __init__(self, master_key: bytes) -> None:
        self._master = AESGCM(master_key)

    def put(self, connection: Connection, scope: str, name: str, value: Mapping[str, object]) -> None:
        """Seal a JSON object under a scope and name, in place of what was there."""
        key = {"scope": arm_id.key(scope), "name": name}
        sealed = self._seal(msgspec.json.encode(value), f"{key['scope']}\n{name}".encode())
        connection.execute(secrets.delete().where(secrets.c.scope == key["scope"], secrets.c.name == name))
        connection.execute(secrets.insert().values(**key, sealed=sealed, modified_at=now_iso()))

    def get(self, connection: Connection, scope: str, name: str) -> dict[str, str] | None:
        """Open a secret. Raises ValueError where the master key is not the one it was sealed with."""
        query = sa.select(secrets.c.sealed).where(secrets.c.scope == arm_id.key(scope), secrets.c.name == name)
        sealed = connection.scalar(query)
        if sealed is None:
            return None
        plain = self._open(sealed, f"{arm_id.key(scope)}\n{name}".encode())
        return msgspec.json.decode(plain, type=dict[str, str])

    def delete(self, connection: Connection, scope: str) -> None:
        """Forget every secret of a scope and of what lies below it."""
        connection.execute(secrets.delete().where(resources.at_or_below(secrets.c.scope, scope)))

    def _seal(self, plain: bytes, bound_to: bytes) -> bytes:
        data_key = AESGCM.generate_key(256)
        outer, inner = os.urandom(_NONCE), os.urandom(_NONCE)
        wrapped = outer + self._master.encrypt(outer, data_key, bound_to)
        return wrapped + inner + AESGCM(data_key).encrypt(inner, plain, bound_to)

    def _open(self, sealed: bytes, bound_to: bytes) -> bytes:
        wrapped, rest = sealed[:_WRAPPED], sealed[_WRAPPED:]
        try:
            data_key = self._master.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], bound_to)
            return AESGCM(data_key).decrypt(rest[:_NONCE], rest[_NONCE:], bound_to)
        except InvalidTag:
            raise ValueError("a stored secret was sealed with another master key than this home's") from None
