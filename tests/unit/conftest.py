from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lazulite.testing.engine_world import EngineWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EngineWorld]:
    """A store with a workspace, and what stands around it; no loop runs."""
    made = EngineWorld(tmp_path)
    yield made
    made.database.close()
