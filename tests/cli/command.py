"""Runs the real `ostiary` command in a process of its own."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Done:
    """How the command ended and what it printed."""

    code: int
    out: str
    err: str


async def ostiary(*arguments: str | Path, **environment: str) -> Done:
    """The command with these arguments; nothing of the caller's environment that concerns it is inherited."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OSTIARY_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ostiary.cli",
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=inherited | {"COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"} | environment,
    )
    out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())
