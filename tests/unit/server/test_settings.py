from __future__ import annotations

from pathlib import Path

import pytest

from lazulite.server.settings import SettingsError, load


def test_file_then_environment_then_arguments(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("port = 1\nhttp_port = 1\nisolation = 'process'\n")
    found = load({"home": tmp_path, "port": 3}, {"LAZULITE_PORT": "2", "LAZULITE_HTTP_PORT": "2"})
    assert (found.port, found.http_port, found.isolation) == (3, 2, "process")


def test_home_from_the_environment(tmp_path: Path) -> None:
    assert load({}, {"LAZULITE_HOME": str(tmp_path)}).home == tmp_path


def test_loopback_unless_asked(tmp_path: Path) -> None:
    assert load({"home": tmp_path}, {}).host == "127.0.0.1"


@pytest.mark.parametrize(("text", "found"), [("true", True), ("False", False)])
def test_yes_and_no_from_the_environment(tmp_path: Path, text: str, found: bool) -> None:
    settings = load({"home": tmp_path}, {"LAZULITE_WEBHOOK_PRIVATE_ADDRESSES": text})
    assert settings.webhook_private_addresses is found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "no setting 'prot'"),
        ("port = 'x'", "must be a int"),
        ("port = 70000", "between 0 and 65535"),
        ("token_lifetime_seconds = 0", "between 1 and 7776000"),
        ("webhook_private_addresses = 'perhaps'", "must be a bool"),
        ("webhook_private_addresses = 1", "must be a bool"),
        ("isolation = 'jail'", "auto, bubblewrap, landlock, process"),
        ("port = = 1", "is not TOML"),
        ("url_mirror = 'x'", "must be a dict"),
        (
            "[url_mirror]\n'ftp://host/data' = '/'",
            "'ftp://host/data' is no beginning of a public address: https://HOST",
        ),
        ("trusted_proxies = ['10.0.0.0/8', 'proxy.example']", "'proxy.example' is not an address or a network"),
        ("trusted_proxies = ['*']", r"'\*' is not an address"),
        ("trusted_proxies = 7", "must be a list of texts"),
        ("max_connections = 0", "max_connections is 0 and must be more than 0"),
        ("body_timeout_seconds = -1", "must be more than 0"),
        ("[url_mirror]\n'wasbs://host/data' = '/'", "wasbs://CONTAINER@HOST/PATH"),
        ("[url_mirror]\n'https://host/data?sv=1' = '/'", "no beginning of a public address"),
        ("[url_mirror]\n'https://host/data' = 7", "mapped to 7 and must be to the full path of a folder"),
        ("[url_mirror]\n'https://host/data' = 'data'", "mapped to 'data' and must be to the full path"),
        ("[url_mirror]\n'https://host/data' = '/no/such/folder'", "'/no/such/folder', and there is no such folder"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        load({"home": tmp_path}, {})


def test_addresses_are_mapped_to_folders(tmp_path: Path) -> None:
    prefixes = ("https://host", "HTTPS://host:444/a b/", "wasbs://data@a.blob.core.windows.net", "abfss://d@a/deep/")
    text = "".join(f"'{prefix}' = '{tmp_path}'\n" for prefix in prefixes)
    (tmp_path / "settings.toml").write_text(f"[url_mirror]\n{text}")
    assert load({"home": tmp_path}, {}).url_mirror == dict.fromkeys(prefixes, str(tmp_path))


def test_proxies_are_listed_in_the_file_or_with_commas(tmp_path: Path) -> None:
    assert load({"home": tmp_path}, {"LAZULITE_TRUSTED_PROXIES": "10.0.0.7, fd00::/8"}).trusted_proxies == (
        "10.0.0.7",
        "fd00::/8",
    )
    (tmp_path / "settings.toml").write_text("trusted_proxies = ['10.0.0.0/8']")
    assert load({"home": tmp_path}, {}).trusted_proxies == ("10.0.0.0/8",)
