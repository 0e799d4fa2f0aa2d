"""Inputs by address on a machine without a network."""

import socket
from pathlib import Path
from typing import Any

import pytest

from lazulite.node.failure import RunFailure
from lazulite.node.hooks import inputs
from lazulite.node.run import Run
from lazulite.node.status import Status

HTTPS = "https://acct.blob.core.windows.net/files/titanic"


@pytest.mark.parametrize(
    ("uri", "url", "kind", "mapped"),
    [
        (f"{HTTPS}/t.csv", f"{HTTPS}/t.csv", "http", HTTPS),
        ("wasbs://files@acct.blob.core.windows.net/titanic/", f"{HTTPS}/", "blob", None),
        ("abfss://files@acct.dfs.core.windows.net/titanic/", f"{HTTPS}/", "blob", None),
    ],
)
def test_the_failure_names_the_address_and_the_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str, url: str, kind: str, mapped: str | None
) -> None:
    def nobody(address: tuple[str, int], timeout: float) -> socket.socket:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", nobody)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("waits for a host that is not there"))
    given: dict[str, Any] = {"kind": kind, "type": "uri_file" if kind == "http" else "uri_folder", "mode": "ro_mount"}
    given |= {"uri": uri, "url": url, "path": None, "value": None}
    plan = {"inputs": {"data": given}, "artifacts": str(tmp_path / "a"), "ca_bundle": None}
    run = Run(str(tmp_path), plan, {"queries": {}}, Status(str(tmp_path / "status.json")))
    with pytest.raises(RunFailure) as failure:
        inputs.prepare(run)
    assert failure.value.code == "InputDownloadFailed"
    assert f"could not be fetched from {uri}: acct.blob.core.windows.net cannot be reached" in failure.value.message
    assert f'[url_mirror] "{mapped or uri.rstrip("/")}" = "/a/folder"' in failure.value.message
