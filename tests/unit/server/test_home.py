from __future__ import annotations

from pathlib import Path

import pytest

from lazulite.server import tls
from lazulite.server.home import HomeInUse, locked, prepare
from lazulite.server.settings import Settings


def test_keys_are_made_once_and_only_for_their_owner(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "home")
    first, second = prepare(settings), prepare(settings)
    assert (first.fresh, second.fresh) == (True, False)
    assert (first.user, first.master, first.tenant) == (second.user, second.master, second.tenant)
    assert settings.home.stat().st_mode & 0o077 == 0
    for file in settings.secrets_root.iterdir():
        assert file.stat().st_mode & 0o077 == 0


def test_two_homes_share_no_key(tmp_path: Path) -> None:
    one, two = prepare(Settings(tmp_path / "1")), prepare(Settings(tmp_path / "2"))
    assert len({one.user, two.user, one.tenant, two.tenant}) == 4
    assert one.master != two.master


def test_one_server_a_home(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(HomeInUse), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_certificates_stay_and_the_bundle_has_ours(tmp_path: Path) -> None:
    first = tls.ensure(tmp_path, "localhost")
    before = first.server.read_bytes()
    assert tls.ensure(tmp_path, "localhost").server.read_bytes() == before
    assert first.bundle.read_bytes().startswith(first.ca.read_bytes())
    other = tls.ensure(tmp_path, "aml.example.com")
    assert other.ca.read_bytes() == first.ca.read_bytes()
    assert other.server != first.server
