"""Puts evidence until it is killed. Started by test_evidence_shredding.py: `endless_putter.py FOLDER`."""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.sealing import KeyEncryptionKey


async def main(folder: Path) -> None:
    evidence = DirectoryEvidence(folder, KeyEncryptionKey(bytes(32)))
    data = os.urandom(300_000)

    async def put(numbers: "itertools.count[int]") -> None:
        for number in numbers:
            await evidence.put("demo", f"check-{number % 5}", f"canonical-{number % 3}", data)
            sys.stdout.write(".")
            sys.stdout.flush()

    numbers = itertools.count()
    await asyncio.gather(*(put(numbers) for _ in range(8)))


asyncio.run(main(Path(sys.argv[1])))
