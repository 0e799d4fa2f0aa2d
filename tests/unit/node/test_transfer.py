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
