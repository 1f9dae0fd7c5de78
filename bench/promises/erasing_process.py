"""Erases every check of a record but those on hold, until it is done or killed.

Started by erased.py: `python -m bench.promises.erasing_process FOLDER`.
"""

import asyncio
import sys
from pathlib import Path

from bench.promises.kept import TODO, erase_all, opened


async def main(folder: Path) -> None:
    """Erase what the file says."""
    check_ids = (folder / TODO).read_text(encoding="utf-8").split()
    async with opened(folder) as record:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await erase_all(record, check_ids)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
