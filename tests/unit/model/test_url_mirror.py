from __future__ import annotations

import pytest

from lazulite.model import url_mirror

MIRROR = {
    "https://Host.example/data": "/data",
    "https://host.example/data/deep/": "/deep",
    "https://host.example/with%20space": "/space",
    "wasbs://open@acc.blob.core.windows.net": "/open",
    "abfss://lake@acc.dfs.core.windows.net/raw data": "/raw",
}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("https://host.example/data", ("/data", "")),
        ("https://host.example/data/", ("/data", "")),
        ("http://HOST.example/data/a.csv?sv=1&sig=x", ("/data", "a.csv")),
        ("https://host.example/data/a%20b.csv", ("/data", "a b.csv")),
        ("https://host.example/data/deep/x/y", ("/deep", "x/y")),
        ("https://host.example/database/x", None),
        ("https://host.example/Data/x", None),
        ("https://host.example", None),
        ("https://host.example/with space/x", ("/space", "x")),
        ("https://host.example/with%20space/x", ("/space", "x")),
        ("https://acc.blob.core.windows.net/open/x.csv", ("/open", "x.csv")),
        ("abfss://open@acc.dfs.core.windows.net/x.csv", ("/open", "x.csv")),
        ("wasbs://lake@acc.blob.core.windows.net/raw%20data/x", ("/raw", "x")),
        ("wasbs://other@acc.blob.core.windows.net/x", None),
    ],
)
def test_the_longest_prefix_stands_for_an_address(address: str, found: tuple[str, str] | None) -> None:
    assert url_mirror.find(MIRROR, address) == found
