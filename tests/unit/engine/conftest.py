from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lazulite.testing.engine_world import EngineWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[EngineWorld]:
    made = EngineWorld(tmp_path)
    yield made
    await made.close()
