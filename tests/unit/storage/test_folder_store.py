"""What `FolderStore` promises beyond every store: plain files, records that survive, crashes that leave no half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lazulite.core.paths import UnsafePath
from lazulite.storage import FolderStore
from lazulite.storage.store import APPEND_BLOB, BlockChoice, ContainerRecord, ListQuery, NameConflict, Record

PLACE = ("acct", "box")


@pytest.fixture
async def store(tmp_path: Path) -> Iterator[FolderStore]:  # type: ignore[misc]
    made = FolderStore(tmp_path / "root")
    await made.create_container(*PLACE, ContainerRecord())
    yield made
    made.close()


def private_files(store: FolderStore) -> list[Path]:
    return [p for p in (store.root / "acct" / ".lazulite").rglob("*") if p.is_file() and p.name != "lock"]


async def test_a_blob_is_a_plain_file(store: FolderStore) -> None:
    await store.write(*PLACE, "a/b", b"data")
    assert store.blob_path(*PLACE, "a/b").read_bytes() == b"data"
    assert await store.read(*PLACE, "a/b") == b"data"
    assert [p.suffix for p in private_files(store)] == [".json"]


async def test_records_follow_the_file_and_survive_a_restart(store: FolderStore, tmp_path: Path) -> None:
    await store.write(*PLACE, "x", b"1", Record(created=1, content_type="a/b", metadata={"k": "v" * 6000}))
    store.close()
    again = FolderStore(tmp_path / "root")
    blob = await again.stat(*PLACE, "x")
    assert blob is not None
    assert blob.record.metadata == {"k": "v" * 6000}
    await again.write(*PLACE, "x", b"2")
    assert (await again.stat(*PLACE, "x")).record.metadata == {}  # type: ignore[union-attr]
    assert not list((tmp_path / "root/acct/.lazulite/records/box").iterdir())
    again.close()


async def test_a_file_changed_by_hand_keeps_its_type_and_loses_its_digest(store: FolderStore) -> None:
    record = Record(created=1, content_type="a/b", content_md5="digest", blocks=[("id", 1)])
    before = await store.write(*PLACE, "x", b"1", record)
    with store.blob_path(*PLACE, "x").open("ab") as file:
        file.write(b"more")
    after = await store.stat(*PLACE, "x")
    assert after is not None
    assert after.etag != before.etag
    assert (after.record.content_type, after.record.content_md5, after.record.blocks) == ("a/b", None, [])


async def test_a_growing_file_reads_as_long_as_it_was_opened(store: FolderStore) -> None:
    path = store.container_path(*PLACE) / "log"
    path.write_bytes(b"one")
    reader = await store.open(*PLACE, "log")
    assert reader is not None
    with path.open("ab") as file:
        file.write(b"two")
    assert await reader.read(0, 100) == b"one"
    reader.close()
    assert await store.read(*PLACE, "log") == b"onetwo"


async def test_an_append_that_never_finished_is_not_seen(store: FolderStore) -> None:
    blob = await store.write(*PLACE, "log", b"", Record(kind=APPEND_BLOB, created=1))
    for text in (b"first", b"second"):
        spool = store.spool("acct")
        await spool.write(text)
        blob.record.append_blocks += 1
        blob = await store.append(*PLACE, "log", spool, blob)
        spool.discard()
    path = store.blob_path(*PLACE, "log")
    os.truncate(path, len("firstsec"))  # as after a kill in the middle of the second write
    torn = await store.stat(*PLACE, "log")
    assert torn is not None
    assert (torn.size, torn.record.append_blocks) == (5, 1)
    assert await store.read(*PLACE, "log") == b"first"
    spool = store.spool("acct")
    await spool.write(b"!")
    torn.record.append_blocks += 1
    await store.append(*PLACE, "log", spool, torn)
    assert path.read_bytes() == b"first!"


async def test_blocks_survive_a_restart_and_commit_in_order_copies_nothing(tmp_path: Path) -> None:
    first = FolderStore(tmp_path / "root")
    await first.create_container(*PLACE, ContainerRecord())
    for block in ("YQ==", "Yg=="):
        spool = first.spool("acct")
        await spool.write(block.encode() * 3)
        await first.put_block(*PLACE, "big", block, spool)
    data = next((tmp_path / "root/acct/.lazulite/blocks").rglob("data"))
    inode = data.stat().st_ino
    with (data.parent / "index").open("ab") as index:
        index.write(b'["torn')
    first.close()
    again = FolderStore(tmp_path / "root")
    assert [block.id for block in await again.blocks(*PLACE, "big")] == ["YQ==", "Yg=="]
    await again.commit(*PLACE, "big", [BlockChoice("YQ==", 12), BlockChoice("Yg==", 12)], Record())
    assert await again.read(*PLACE, "big") == b"YQ==" * 3 + b"Yg==" * 3
    assert again.blob_path(*PLACE, "big").stat().st_ino == inode
    assert await again.blocks(*PLACE, "big") == []
    again.close()


async def test_what_a_killed_process_left_is_removed(store: FolderStore, tmp_path: Path) -> None:
    store.close()
    left = tmp_path / "root/acct/.lazulite/tmp/left"
    left.write_text("half")
    again = FolderStore(tmp_path / "root")
    await again.write(*PLACE, "x", b"1")
    assert not left.exists()
    again.close()


async def test_private_files_and_links_are_not_blobs(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    folder = store.container_path(*PLACE)
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    for name in ("link", "up/secret", "pipe", "../.lazulite/lock"):
        assert await store.stat(*PLACE, name) is None
    with pytest.raises(NameConflict):
        await store.write(*PLACE, "up/planted", b"x")
    assert not (tmp_path / "planted").exists()
    assert (await store.list(*PLACE, ListQuery())).entries == []
    assert [c.name for c in await store.containers("acct")] == ["box"]
    with pytest.raises(UnsafePath):
        store.container_path("acct", ".lazulite")
    with pytest.raises(UnsafePath):
        store.container_path("..", "box")


async def test_replacing_a_link_keeps_its_target(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("kept")
    (store.container_path(*PLACE) / "link").symlink_to(tmp_path / "target")
    await store.write(*PLACE, "link", b"new")
    assert (tmp_path / "target").read_text() == "kept"
    assert await store.read(*PLACE, "link") == b"new"
