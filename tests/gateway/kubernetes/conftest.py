from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.kubernetes.stage import Stage, stage


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Stage]:
    """A cluster's API server."""
    async with stage(tmp_path / "cluster", journal=True) as running:
        yield running
