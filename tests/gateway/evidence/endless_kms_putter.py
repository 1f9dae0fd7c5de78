"""Puts evidence under a KMS until it is killed. Started by test_kms_evidence.py: `… SOCKET STORE FOLDER`."""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from ostiary_gateway.kms.keys import KmsKeys
from ostiary_gateway.kms.plugin import KmsPlugin
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.evidence_keys import KeyMemory


async def main(socket: Path, store: Path, folder: Path) -> None:
    data = os.urandom(100_000)
    keys = KmsKeys(KmsPlugin(socket, 5.0), KeyMemory(store))
    await keys.start()
    evidence = DirectoryEvidence(folder, keys)
    for number in itertools.count():
        await evidence.put("demo", f"check-{number}", "canonical-0", data)
        sys.stderr.write(".")  # standard output is the log's
        sys.stderr.flush()


asyncio.run(main(*(Path(argument) for argument in sys.argv[1:])))
