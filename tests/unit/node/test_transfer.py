import socket
from pathlib import Path

import pytest

from lazulite.node import transfer


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://acct.blob.core.windows.net/c/a/b%20c.txt", ("https://acct.blob.core.windows.net", "c", "a/b c.txt")),
        (
            "https://localhost:8443/storage/v1/acct/_.blob.core.windows.net/c/a",
            ("https://localhost:8443/storage/v1/acct/_.blob.core.windows.net", "c", "a"),
        ),
        ("https://acct.blob.core.windows.net/c", ("https://acct.blob.core.windows.net", "c", "")),
    ],
)
def test_both_layouts_of_a_blobs_address(url: str, parts: tuple[str, str, str]) -> None:
    assert transfer.split(url) == parts


def test_a_failed_answer_is_tried_again_and_a_refusal_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer.time, "sleep", lambda _: None)
    answers = [transfer.TransferError(503, "busy"), transfer.TransferError(0, "reset"), None]

    def action() -> str:
        answer = answers.pop(0)
        if answer:
            raise answer
        return "done"

    assert transfer.retried(action, lambda: None) == "done"
    calls = []

    def refused() -> None:
        calls.append(1)
        raise transfer.TransferError(403, "no")

    with pytest.raises(transfer.TransferError):
        transfer.retried(refused, lambda: None)
    assert len(calls) == 1


def test_addresses_other_than_http_are_refused() -> None:
    with pytest.raises(transfer.TransferError, match="only http"):
        transfer.request("GET", "file:///etc/passwd", None)


def test_a_host_that_is_not_there_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def nobody(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", nobody)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(transfer.time, "sleep", lambda _: pytest.fail("waits for a host that is not there"))
    with pytest.raises(transfer.TransferError, match=r"data\.example cannot be reached"):
        transfer.download("https://data.example/a.csv", "", str(tmp_path / "a.csv"), None, lambda: None)
    with pytest.raises(transfer.TransferError, match="cannot be reached"):
        transfer.download_folder("http://data.example/c/f", "", str(tmp_path), None, lambda: None)
    assert asked == [("data.example", 443), ("data.example", 80)]


def test_a_server_of_this_machine_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    waited: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", waited.append)
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(transfer.TransferError):
        transfer.download(f"http://localhost:{port}/a.csv", "", str(tmp_path / "a.csv"), None, lambda: None)
    assert len(waited) == transfer.ATTEMPTS - 1
