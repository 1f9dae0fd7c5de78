"""Two gateways over one store, asked for the same key at once."""

import asyncio

import grpc
import pytest

from gateway.scripted_pod import Script
from gateway.site import Site, until
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.errors import Reason, from_rpc_error


def request(title: str = "Cup") -> CheckRequest:
    return CheckRequest(
        idempotency_key="k", images=[Image(data=b"image")], listing=Listing(title=title, listing_id="l")
    )


async def test_both_looked_and_one_recorded(site: Site, script: Script) -> None:
    """One look at each, one verdict for all, and no image is kept that belongs to no check on record."""
    script.gate.clear()
    async with site.start() as one, site.start() as other:
        calls = [running.as_("pipeline").Check(request(), timeout=20) for running in (one, other) * 10]
        answering = asyncio.gather(*calls)
        await until(lambda: len(script.asked) == 2)
        script.gate.set()
        answers = await answering
        assert len(script.asked) == 2
        assert {answer.check_id for answer in answers} == {answers[0].check_id}
        assert {answer.receipt.log_index for answer in answers} == {0}
        assert sum(not answer.replayed for answer in answers) == 1
        kept = {path.parent.name for path in (site.folder / "evidence").rglob("canonical-*")}
        assert kept == {answers[0].check_id}
        for running in (one, other):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await running.as_("pipeline").Check(request("Another cup"), timeout=20)
            assert from_rpc_error(caught.value).reason is Reason.ALREADY_EXISTS
    assert len(script.asked) == 2
