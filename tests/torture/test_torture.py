"""The short form of `make torture`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.long import size
from tests.torture.run import torture


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_killed_at_random_under_load(tmp_path: Path) -> None:
    verdict = torture(tmp_path, "auto", size(4, 20), 3, lambda _: None)
    assert not verdict.faults, str(verdict)
    assert verdict.kills["server"]
    assert verdict.ledger.jobs
    assert verdict.ledger.assets
