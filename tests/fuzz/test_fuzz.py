"""The short form of `make fuzz`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.__main__ import report
from tests.fuzz.requests import Answer, Sent
from tests.fuzz.run import _fault, fuzz
from tests.server_fixture import RunningServer
from tests.torture.chaos import end


def test_malformed_requests_break_nothing(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "home")
    server.home.mkdir()
    server.start()
    try:
        findings = fuzz(server, 1500, 7, lambda _: None)
    finally:
        server.stop()
        end(server.home)
    assert not findings.faults, report(findings)
    assert findings.sent > 1000
    assert len(findings.statuses) > 4


@pytest.mark.parametrize(
    ("answer", "entitled", "fault"),
    [
        (Answer(200, {}, b"{}"), True, ""),
        (Answer(200, {}, b"{}"), False, "without a token"),
        (Answer(500, {}, b"oh"), True, "500"),
        (Answer(501, {"content-type": "application/json"}, b'{"error": {}}'), True, ""),
        (Answer(400, {"content-type": "application/json"}, b"{}"), True, "cannot be read"),
        (Answer(404, {"content-type": "application/xml"}, b"<Error><Code>x</Code></Error>"), True, ""),
        (Answer(0, {}, b""), True, "closed without an answer"),
    ],
)
def test_what_counts_as_a_fault(answer: Answer, entitled: bool, fault: str) -> None:
    found = _fault(Sent("GET", "/"), answer, entitled)
    assert (fault in found) if fault else not found
