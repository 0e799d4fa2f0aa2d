"""Files of this machine as a store."""

from pathlib import Path
from typing import Any, cast

from lazulite.node import stores


def test_a_file_that_is_a_link_keeps_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "behind").write_text("data")
    (tmp_path / "named").symlink_to(tmp_path / "behind")
    store = stores.Local(cast(Any, None), str(tmp_path / "named"), str(tmp_path))
    assert list(store.names()) == ["named"]
    assert [name for name, _ in store.opened({"named"})] == ["named"]
