from __future__ import annotations

import time
from pathlib import Path

import pytest

from lazulite.core.errors import ApiError
from lazulite.core.principal import Principal
from lazulite.identity.tokens import TokenIssuer, load_key


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> TokenIssuer:
    key = load_key(tmp_path_factory.mktemp("key") / "key.pem")
    return TokenIssuer(key, issuer="https://localhost:1", tenant="t")


def test_what_is_issued_is_what_is_verified(issuer: TokenIssuer) -> None:
    job = Principal("p", "job x", "Job", run="x", workspace="/subscriptions/s")
    token, expires = issuer.issue(job, "https://ml.azure.com", lifetime_s=60)
    found = issuer.verify(token)
    assert (found.id, found.kind, found.run, found.workspace) == ("p", "Job", "x", "/subscriptions/s")
    assert found.audience == "https://ml.azure.com"
    assert 0 < expires - time.time() <= 61


def test_expired_also_when_it_was_verified_before(issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    token, expires = issuer.issue(Principal("p", "n", "User"), "a", lifetime_s=60)
    issuer.verify(token)
    monkeypatch.setattr(time, "time", lambda: expires + 1.0)
    with pytest.raises(ApiError, match="expired") as refused:
        issuer.verify(token)
    assert refused.value.status == 401


def test_another_homes_token(issuer: TokenIssuer, tmp_path: Path) -> None:
    other = TokenIssuer(load_key(tmp_path / "key.pem"), issuer="https://localhost:1", tenant="t")
    token, _ = other.issue(Principal("p", "n", "User"), "a")
    with pytest.raises(ApiError, match="not issued by this server"):
        issuer.verify(token)


def test_key_survives_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    first = load_key(path)
    assert load_key(path).thumbprint() == first.thumbprint()
    assert path.stat().st_mode & 0o077 == 0
