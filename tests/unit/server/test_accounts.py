"""Files of one account copied, compared and given up, over plain folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lazulite.resources.declaration import Files
from lazulite.server.accounts import StorageAccounts
from lazulite.storage import FolderStore
from lazulite.store.database import Database
from lazulite.vault.sealed import SealedSecrets


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[StorageAccounts]:
    database = Database(f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield StorageAccounts(database, SealedSecrets(b"0" * 32), FolderStore(tmp_path / "storage"), "localhost:8443")
    database.close()


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / "storage" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


async def test_folder_is_copied_under_its_own_names_and_again(accounts: StorageAccounts, tmp_path: Path) -> None:
    await accounts.ensure("a", ["from"], [])
    write(tmp_path, {"a/from/m/x": "1", "a/from/m/sub/y": "2", "a/from/m2/z": "3"})
    for _ in range(2):
        assert await accounts.copy(Files("a", "from", "m"), "b", "to") == 2
    copied = {p.relative_to(tmp_path / "storage/b/to").as_posix() for p in (tmp_path / "storage/b/to").rglob("*")}
    assert {name for name in copied if not name.startswith(".")} == {"m", "m/x", "m/sub", "m/sub/y"}


async def test_what_was_copied_in_part_is_made_whole(accounts: StorageAccounts, tmp_path: Path) -> None:
    await accounts.ensure("a", ["from"], [])
    await accounts.ensure("b", ["to"], [])
    write(tmp_path, {"a/from/x": "whole", "b/to/x": "who"})
    assert await accounts.copy(Files("a", "from", "x"), "b", "to") == 1
    assert (tmp_path / "storage/b/to/x").read_text() == "whole"


@pytest.mark.parametrize("path", ["nothing", "nothing/below"])
async def test_nothing_there_to_copy(accounts: StorageAccounts, path: str) -> None:
    await accounts.ensure("a", ["from"], [])
    assert await accounts.copy(Files("a", "from", path), "b", "to") == 0
    assert await accounts.copy(Files("a", "missing", ""), "b", "to") == 0


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"x": "1", "sub/y": "22"}, True),
        ({"x": "2", "sub/y": "22"}, False),
        ({"x": "1", "sub/y": "2"}, False),
        ({"x": "1", "sub/z": "22"}, False),
        ({"x": "1"}, False),
        ({"x": "1", "sub/y": "22", "more": ""}, False),
    ],
)
async def test_same_names_and_bytes(
    accounts: StorageAccounts, tmp_path: Path, other: dict[str, str], same: bool
) -> None:
    await accounts.ensure("a", ["one", "two"], [])
    write(tmp_path, {"a/one/m/x": "1", "a/one/m/sub/y": "22"})
    write(tmp_path, {f"a/two/other/{name}": text for name, text in other.items()})
    assert await accounts.same(Files("a", "one", "m"), Files("a", "two", "other/")) is same


async def test_an_account_given_up_holds_nothing(accounts: StorageAccounts, tmp_path: Path) -> None:
    await accounts.ensure("a", ["one", "two"], [])
    await accounts.ensure("b", ["kept"], [])
    write(tmp_path, {"a/one/x": "1"})
    await accounts.erase("a", None, "", ())
    await accounts.erase("a", None, "", ())
    assert not (tmp_path / "storage/a").exists()
    assert (tmp_path / "storage/b/kept").exists()
