"""The soak, for as long as a test may take."""

import asyncio
from pathlib import Path

import pytest

from bench import soak


@pytest.mark.timeout(300)  # starts four processes and asks for each change once
def test_no_call_fails_while_all_around_changes(tmp_path: Path) -> None:
    """Rotations, a pod that is killed, reloads: each happened, and every check was allowed."""
    report = asyncio.run(soak.soak(tmp_path, 20.0, pause=0.1))
    assert all(bar.met for bar in report.bars), report.document()
    made = {name for name in report.rows[0] if name.startswith("changes: ")}
    assert made == {"changes: leaves", "changes: kill", "changes: reload", "changes: root"}
