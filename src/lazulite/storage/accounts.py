"""Storage accounts: a name and two keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StorageAccount:
    """`keys` are base64, as Azure shows them; either one is accepted."""

    name: str
    keys: tuple[str, str]


class AccountDirectory(Protocol):
    def get(self, name: str) -> StorageAccount | None:
        """The account of that name, from memory: this is asked for on every request."""
        ...
