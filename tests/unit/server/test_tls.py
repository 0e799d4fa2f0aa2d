"""Certificates of a home over several starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lazulite.server import tls


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's roots, which a variable names."""
    path = tmp_path / "roots.pem"
    path.write_text("roots of the system\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return path


def test_a_start_in_a_shell_that_points_to_the_home_leaves_the_bundle_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "tls"
    home.mkdir()
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    bundle = tls.ensure(home, "localhost").bundle
    before = bundle.read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    tls.ensure(home, "localhost")
    assert bundle.read_bytes() == before


def test_new_roots_of_the_system_come_into_the_very_file_that_running_jobs_see(tmp_path: Path, roots: Path) -> None:
    home = tmp_path / "tls"
    home.mkdir()
    made = tls.ensure(home, "localhost")
    file = made.bundle.stat().st_ino
    roots.write_text("new\n")
    tls.ensure(home, "localhost")
    assert made.bundle.read_bytes() == made.ca.read_bytes() + b"new\n"
    assert made.bundle.stat().st_ino == file
    assert tls.ensure(home, "localhost").ca.read_bytes() in made.bundle.read_bytes()
