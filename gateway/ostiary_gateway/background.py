"""Tasks that run beside the checks."""

import asyncio
from contextlib import suppress


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task, and wait until it is gone."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
