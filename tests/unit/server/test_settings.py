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
        ("isolation = 'jail'", "auto, bubblewrap, process"),
        ("port = = 1", "is not TOML"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "settings.toml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        load({"home": tmp_path}, {})
