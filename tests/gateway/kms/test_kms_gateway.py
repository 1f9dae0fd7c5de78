"""Gateways whose evidence is sealed under keys of a KMS, from check to view."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import yaml

from bench.fake_kms import FakeKms, FakePlugin, serving
from gateway.kms_stage import short_path
from gateway.scripted_pod import blurred_bytes
from gateway.site import Running, Site, until
from ostiary.v1.audit_pb2 import GetEvidenceRequest
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.evidence_pb2 import WrappedKey
from ostiary.v1.image_pb2 import Image
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.errors import Reason, from_rpc_error
from ostiary_gateway.kms.opened import MOST_KEYS
from ostiary_gateway.settings import EvidenceSettings
from ostiary_gateway.store.sealing import ItemName, kms_key_of

RAW = b"image"
PAGE = Path(__file__).resolve().parents[3] / "docs/record.md"


@pytest.fixture
def kms(served: FakePlugin, socket: Path) -> dict[str, object]:
    """Settings of evidence under a KMS that is there, and is asked often."""
    return {"dir": "evidence", "kms": {"socket": str(socket), "poll_seconds": 0.02, "grace_seconds": 0}}


@asynccontextmanager
async def gateway(site: Site, evidence: dict[str, object]) -> AsyncIterator[Running]:
    async with site.start(evidence=evidence) as running:
        yield running


async def checked(running: Running) -> str:
    response = await running.as_("pipeline").Check(CheckRequest(images=[Image(data=RAW)]), timeout=10)
    return response.check_id


async def seen(running: Running, check_id: str) -> bytes:
    stub = AuditServiceStub(running.channel("auditor"))
    call = stub.GetEvidence(GetEvidenceRequest(check_id=check_id), timeout=10)
    return b"".join([piece.data async for piece in call])


async def failure(call: object) -> Reason:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return from_rpc_error(caught.value).reason


def key_id(site: Site, check_id: str) -> str:
    path = site.folder / "evidence" / "demo" / check_id / "canonical-0"
    found = kms_key_of(ItemName("demo", check_id, "canonical-0"), path.read_bytes())
    assert found
    return WrappedKey.FromString(found.envelope).key_id


async def test_checks_across_gateways_and_restarts(
    site: Site, kms: dict[str, object], served: FakePlugin
) -> None:
    """Two gateways over one store show what either has sealed, and the next one what both have."""
    async with gateway(site, kms) as one, gateway(site, kms) as other:
        checks = [await checked(running) for running in (one, other, one)]
        asked = served.asked["Encrypt"], served.asked["Decrypt"]
        checks += [await checked(one) for _ in range(5)]
        assert (served.asked["Encrypt"], served.asked["Decrypt"]) == asked
        for running in (one, other):
            assert [await seen(running, check_id) for check_id in checks] == [blurred_bytes(RAW)] * 8
    async with gateway(site, kms) as again:
        assert [await seen(again, check_id) for check_id in checks] == [blurred_bytes(RAW)] * 8


async def test_the_kms_rotates_under_load(site: Site, kms: dict[str, object], served: FakePlugin) -> None:
    """No check fails; those from then on are under the new key, and all are shown."""
    async with gateway(site, kms) as running:
        checks = [await checked(running)]
        old, new = served.kms.key_id, served.kms.rotate()
        while key_id(site, checks[-1]) == old:
            checks += await asyncio.gather(*(checked(running) for _ in range(4)))
        assert key_id(site, checks[-1]) == new
        assert {await seen(running, check_id) for check_id in checks} == {blurred_bytes(RAW)}


async def test_nothing_is_decided_without_the_kms(
    site: Site, kms: dict[str, object], served: FakePlugin
) -> None:
    """Nor shown; and nothing of a check that was refused is kept. It goes on when the KMS does."""
    async with gateway(site, kms) as running:
        check_id = await checked(running)
        served.healthz = "no route to the KMS"
        asked = served.asked["Status"]
        await until(lambda: served.asked["Status"] > asked + 1)
        assert await failure(checked(running)) is Reason.STORE_UNAVAILABLE
        assert await failure(seen(running, check_id)) is Reason.STORE_UNAVAILABLE
        assert [path.name for path in (site.folder / "evidence" / "demo").iterdir()] == [check_id]
        served.healthz = "ok"
        asked = served.asked["Status"]
        await until(lambda: served.asked["Status"] > asked + 1)
        assert await seen(running, await checked(running)) == blurred_bytes(RAW)
        assert await seen(running, check_id) == blurred_bytes(RAW)


async def test_it_starts_before_its_plugin(site: Site, fake: FakePlugin) -> None:
    """Nobody is served until the plug-in is there; then it needs no restart."""
    with short_path() as socket:
        kms = {"socket": str(socket), "poll_seconds": 0.02}

        async def run() -> str:
            async with gateway(site, {"dir": "evidence", "kms": kms}) as running:
                return await checked(running)

        starting = asyncio.create_task(run())
        await until((site.folder / "data" / "ostiary.db").exists)
        await asyncio.sleep(0.1)
        assert not starting.done()
        async with serving(fake, socket):
            assert key_id(site, await starting) == fake.kms.key_id


async def test_from_a_key_file(site: Site, kms: dict[str, object], served: FakePlugin) -> None:
    """Evidence from before is shown while the file is named beside the KMS; without it no gateway starts."""
    async with site.start() as running:
        before = await checked(running)
    with pytest.raises(ValueError, match=r"of a file: name that as evidence\.key, beside evidence\.kms"):
        async with gateway(site, kms):
            pass
    async with gateway(site, {**kms, "key": "evidence.key"}) as running:
        after = await checked(running)
        assert key_id(site, after) == served.kms.key_id
        assert {await seen(running, check_id) for check_id in (before, after)} == {blurred_bytes(RAW)}
    with pytest.raises(ValueError, match=r"set evidence\.kms"):
        async with site.start():
            pass


async def test_another_kms_keeps_it_from_starting(
    site: Site, kms: dict[str, object], served: FakePlugin
) -> None:
    """As another key file does; `new_key` takes it, and what is lost is told as such."""
    async with gateway(site, kms) as running:
        check_id = await checked(running)
    served.kms = FakeKms({"another": b"k" * 32})
    with pytest.raises(ValueError, match=r"of a KMS, which this one does not give back"):
        async with gateway(site, kms):
            pass
    async with gateway(site, {**kms, "new_key": True}) as running:
        assert await seen(running, await checked(running)) == blurred_bytes(RAW)
        assert await failure(seen(running, check_id)) is Reason.STORE_UNAVAILABLE


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ({"dir": "e"}, "evidence: value error, name key, a file, or kms, the plug-in of a KMS"),
        ({"dir": "e", "kms": {}}, r"evidence\.kms\.socket: field required"),
        ({"dir": "e", "kms": {"socket": "unix:///run/kms.sock"}}, "name the socket's file alone"),
        ({"dir": "e", "kms": {"socket": "@kms"}}, "name the socket's file alone"),
        ({"dir": "e", "kms": {"socket": "s", "timeout_seconds": 0}}, "timeout_seconds: .* greater than 0"),
        ({"dir": "e", "kms": {"socket": "s", "poll_seconds": 0}}, "poll_seconds: .* greater than 0"),
        (
            {"dir": "e", "kms": {"socket": "s", "grace_seconds": -1}},
            "grace_seconds: .* greater than or equal",
        ),
        ({"dir": "e", "kms": {"socket": "s", "timeout": "3s"}}, r"kms\.timeout: there is no such key"),
    ],
    ids=["no key", "no socket", "URL", "abstract", "timeout", "poll", "grace", "unknown"],
)
def test_settings_that_will_not_do(site: Site, evidence: dict[str, object], words: str) -> None:
    """The file and the field are named."""
    with pytest.raises(ValueError, match=rf"gateway\.yaml: .*{words}"):
        site.settings(evidence=evidence)


def test_settings_that_will_do(site: Site, kms: dict[str, object]) -> None:
    """The socket is a path beside gateway.yaml; what is not said is as the page has it."""
    given = site.settings(evidence={"dir": "e", "kms": {"socket": "kms.sock"}}).evidence.kms
    assert given
    times = given.times()
    page = PAGE.read_text("utf-8")
    [text] = re.findall(r"```yaml\n(# in gateway\.yaml\nevidence:.*?)```", page, re.DOTALL)
    shown = EvidenceSettings.model_validate(yaml.safe_load(text)["evidence"])
    assert shown.kms
    assert shown.kms.times() == times
    assert f"{MOST_KEYS:,} keys used last" in page
    assert given.socket == site.folder / "kms.sock"
    assert (times.call, times.poll, times.grace, times.lifetime) == (3, 30, 120, 86_400)
