"""The controller of erasures: removes the files of what was deleted once nothing writes there any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lazulite.store import erasures
from lazulite.store.database import Database
from lazulite.store.locations import StorageLocator

#: Seconds until the next look, while a run of what was deleted comes to its end.
_LOOK_S = 0.2


class ErasureController:
    """`goes_on` says whether a run goes on at or below a key."""

    name = "erasures"

    def __init__(self, database: Database, storage: StorageLocator, goes_on: Callable[[str], bool]) -> None:
        self._database = database
        self._storage = storage
        self._goes_on = goes_on

    def item(self, changed_key: str) -> str | None:
        return changed_key.removeprefix(erasures.HINT) if changed_key.startswith(erasures.HINT) else None

    async def pending(self) -> Iterable[str]:
        return map(str, await self._database.read(erasures.numbers))

    async def reconcile(self, item: str) -> float | None:
        erasure = await self._database.read(lambda c: erasures.get(c, int(item)))
        if erasure is None:
            return None
        if self._goes_on(erasure.scope):
            return _LOOK_S
        kept = await self._database.read(lambda c: erasures.kept(c, erasure))
        await self._storage.erase(erasure.account, erasure.container, erasure.path, kept)
        await self._database.write(lambda c: erasures.done(c, erasure))
        return None
