"""Records decisions until it is killed; prints each check id once it is acknowledged.

Started by test_crashes.py: `crashing_writer.py GATEWAY_FOLDER FIRST_NUMBER`.
"""

import asyncio
import itertools
import sys
from pathlib import Path

from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.opening import open_recorder


async def main(gateway: Path, first: int) -> None:
    numbers = itertools.count(first)
    async with open_recorder(
        store=gateway / "data" / "ostiary.db",
        log_dir=gateway / "log",
        log_key=gateway / "log.key",
        origin="ostiary.local/log",
        publish_interval=0.001,
    ) as recorder:

        async def caller() -> None:
            for number in numbers:
                check_id = f"check-{number}"
                new = NewDecision(
                    check_id=check_id,
                    tenant="demo",
                    caller="spiffe://ostiary.local/tenant/demo/role/pipeline",
                    idempotency_key=f"key-{number}",
                    request_sha256=b"h" * 32,
                    listing=Listing(),
                    response=CheckResponse(check_id=check_id),
                    observations=None,
                    trace_id="",
                )
                await recorder.record(new)
                sys.stdout.write(f"{check_id}\n")
                sys.stdout.flush()

        await asyncio.gather(*(caller() for _ in range(8)))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
