"""Check, over mutual TLS, with the real record behind it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import grpc
import pytest
import yaml

from gateway import sights
from gateway.scripted_pod import Script, canonical_bytes, truthful
from gateway.site import Running, Site, until
from ostiary.v1 import admin_pb2, audit_pb2, moderation_pb2
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.inference_pb2 import InferResponse
from ostiary.v1.listing_pb2 import Listing, Wants
from ostiary.v1.moderation_pb2 import (
    CheckRequest,
    GetCanonicalImageRequest,
    GetCheckRequest,
)
from ostiary.v1.observation_pb2 import Attribute, Description, Observations, OcrSpan, PolicyState
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error

CONTACT = Observations(ocr=[OcrSpan(text="微信：abc12345", region=sights.region())])
SAID = Observations(
    description=Description(text="A cup.", language="en"),
    attributes=[Attribute(name="colour", value="red", confidence=0.9)],
)


def request(*images: bytes, **fields: object) -> CheckRequest:
    made = [Image(data=data) for data in images or (b"image",)]
    return CheckRequest(images=made, **({"listing": Listing(title="Cup")} | fields))  # type: ignore[arg-type]


async def refusal(call: Awaitable[object]) -> OstiaryError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


async def test_a_clean_check_is_allowed_and_recorded(running: Running, script: Script) -> None:
    """The answer carries the verdict, the hash to publish, and a receipt that names what decided."""
    check = request(b"one", b"two")
    answer = await running.as_("pipeline").Check(check, timeout=10)
    assert answer.verdict == Verdict.VERDICT_ALLOW
    assert [image.sha256 for image in answer.images] == [
        hashlib.sha256(canonical_bytes(raw)).digest() for raw in (b"one", b"two")
    ]
    receipt = answer.receipt
    assert (receipt.route_version, receipt.policy, receipt.log_index) == ("local", "default@1", 0)
    assert receipt.bundle.digest == b"d" * 32
    assert len(receipt.policy_sha256) == len(receipt.leaf_hash) == 32
    assert receipt.checkpoint.startswith("ostiary.local/log\n")
    stages = [timing.stage for timing in answer.timings]
    assert stages == ["admit", "decode", "infer", "decide"]
    assert script.asked[0].check_request == check.SerializeToString()
    assert script.asked[0].check_id == answer.check_id


async def test_a_contact_blocks(running: Running, script: Script) -> None:
    """What the pod read becomes a finding with its place."""
    script.answer = lambda check: truthful(check, CONTACT)
    answer = await running.as_("pipeline").Check(request(), timeout=10)
    assert answer.verdict == Verdict.VERDICT_BLOCK
    [finding] = answer.findings
    assert finding.regions[0] == sights.region()
    assert finding.evidence.rule.matched_text == "微信：abc12345"


@pytest.mark.parametrize(
    ("wants", "description", "attributes", "policies"),
    [
        (None, "A cup.", 8, 4),
        (Wants(flags=True), "", 0, 4),
        (Wants(flags=True, description=True), "A cup.", 0, 4),
        (Wants(attributes=True), "", 8, 0),
    ],
    ids=["everything", "flags", "description", "attributes alone"],
)
async def test_wants(
    running: Running, script: Script, wants: Wants | None, description: str, attributes: int, policies: int
) -> None:
    """The caller gets what it asked for; without flags nothing is judged, so nothing is allowed."""
    script.answer = lambda check: truthful(check, SAID)
    answer = await running.as_("pipeline").Check(request(wants=wants), timeout=10)
    assert answer.description.text == description
    assert len(answer.attributes) == attributes
    assert len(answer.policies) == policies
    assert answer.verdict == (Verdict.VERDICT_ALLOW if policies else Verdict.VERDICT_HOLD)
    if attributes:
        assert {item.name: item.value for item in answer.attributes}["colour"] == "red"
        assert {item.value for item in answer.attributes} == {"red", "unknown"}


@pytest.mark.parametrize("who", ["auditor", "nobody"])
async def test_who_may_not_check(running: Running, script: Script, who: str) -> None:
    """An auditor's certificate on Check is refused, and no pod hears of it."""
    error = await refusal(running.as_(who).Check(request(), timeout=10))
    assert error.reason is Reason.PERMISSION_DENIED
    assert not script.asked


async def test_a_bad_request_is_refused_in_words(running: Running, script: Script) -> None:
    """The field is named, nothing is looked at."""
    bad = CheckRequest(images=[Image(uri="https://example.com/a.jpg")])
    error = await refusal(running.as_("pipeline").Check(bad, timeout=10))
    assert error.reason is Reason.INVALID_FIELD
    assert error.violations[0].field == "images[0].uri"
    assert not script.asked


async def test_a_repeated_key_gets_the_recorded_answer(running: Running, script: Script) -> None:
    """The second answer is the first one, from the record."""
    pipeline = running.as_("pipeline")
    first = await pipeline.Check(request(idempotency_key="k1"), timeout=10)
    second = await pipeline.Check(request(idempotency_key="k1"), timeout=10)
    assert not first.replayed
    assert second.replayed
    second.replayed = False
    assert second == first
    assert len(script.asked) == 1


async def test_a_key_with_another_request_is_refused(running: Running) -> None:
    """A key stands for one request."""
    pipeline = running.as_("pipeline")
    await pipeline.Check(request(b"a", idempotency_key="k1"), timeout=10)
    error = await refusal(pipeline.Check(request(b"b", idempotency_key="k1"), timeout=10))
    assert error.reason is Reason.ALREADY_EXISTS


async def test_keys_belong_to_tenants(running: Running, script: Script) -> None:
    """Another tenant's key of the same name is another key."""
    first = await running.as_("pipeline").Check(request(b"a", idempotency_key="k1"), timeout=10)
    other = await running.as_("stranger").Check(request(b"b", idempotency_key="k1"), timeout=10)
    assert first.check_id != other.check_id
    assert len(script.asked) == 2


async def test_concurrent_repeats_share_one_look(running: Running, script: Script) -> None:
    """Twenty retries at once: one check, one verdict, nineteen replays of it."""
    script.gate.clear()
    pipeline = running.as_("pipeline")
    calls = [
        asyncio.ensure_future(pipeline.Check(request(idempotency_key="k"), timeout=20)) for _ in range(20)
    ]
    await script.arrived.wait()
    script.gate.set()
    answers = await asyncio.gather(*calls)
    assert len({answer.check_id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert len(script.asked) == 1


async def test_who_hangs_up_does_not_take_the_others_along(running: Running, script: Script) -> None:
    """The first caller goes away while a second waits for the same key: the second is answered."""
    script.gate.clear()
    pipeline = running.as_("pipeline")
    first = pipeline.Check(request(idempotency_key="k"), timeout=20)
    second = asyncio.ensure_future(pipeline.Check(request(idempotency_key="k"), timeout=20))
    await script.arrived.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    script.gate.set()
    assert (await second).verdict == Verdict.VERDICT_ALLOW
    assert len(script.asked) <= 2


def _wrong_image(check: CheckRequest) -> InferResponse:
    answer = truthful(check)
    answer.observations.images[0].raw_sha256 = hashlib.sha256(b"another").digest()
    return answer


def _wrong_bytes(check: CheckRequest) -> InferResponse:
    answer = truthful(check)
    answer.canonical[0].data = b"other bytes"
    return answer


def _no_bytes(check: CheckRequest) -> InferResponse:
    answer = truthful(check)
    del answer.canonical[:]
    return answer


def _nothing(check: CheckRequest) -> InferResponse:
    return InferResponse()


def _crash(check: CheckRequest) -> InferResponse:
    raise RuntimeError("the pod's own fault")


async def test_every_method_is_there(running: Running) -> None:
    """No method of the contract answers UNIMPLEMENTED, whoever asks; a role without the right is refused."""
    services = (
        each
        for file in (audit_pb2, admin_pb2, moderation_pb2)
        for each in file.DESCRIPTOR.services_by_name.values()
    )
    methods = [f"/{service.full_name}/{method.name}" for service in services for method in service.methods]
    # Those that watch something go on for as long as they may.
    calls = [running.channel("admin").stream_stream(path)(iter([b""]), timeout=5) for path in methods]
    codes = await asyncio.gather(*(call.code() for call in calls))
    assert grpc.StatusCode.UNIMPLEMENTED not in codes, dict(zip(methods, codes, strict=True))
    get = await refusal(running.as_("auditor").GetCheck(GetCheckRequest(), timeout=10))
    assert get.reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("answer", [_wrong_image, _wrong_bytes, _no_bytes, _nothing, _crash])
async def test_an_answer_that_cannot_be_used_holds(
    running: Running, script: Script, answer: Callable[[CheckRequest], InferResponse]
) -> None:
    """A pod that fails or mixes things up never gets anything published; the check is recorded."""
    script.answer = answer
    held = await running.as_("pipeline").Check(request(), timeout=10)
    assert held.verdict == Verdict.VERDICT_HOLD
    assert [reason.code for reason in held.hold_reasons] == ["unavailable"]
    assert len(held.receipt.leaf_hash) == 32
    assert not held.images


@pytest.mark.parametrize(
    ("failure", "verdict"),
    [({}, Verdict.VERDICT_HOLD), ({"failureVerdict": "VERDICT_REVIEW"}, Verdict.VERDICT_REVIEW)],
    ids=["unset", "review"],
)
async def test_no_pod(site: Site, failure: dict[str, str], verdict: int) -> None:
    """Nobody listens there: the route says what that means, and the check is recorded."""
    site.route(["127.0.0.1:1"], **failure)
    async with site.start() as running:
        answer = await running.as_("pipeline").Check(request(), timeout=10)
    assert answer.verdict == verdict
    assert [reason.code for reason in answer.hold_reasons] == ["unavailable"]
    assert "127.0.0.1" not in answer.hold_reasons[0].detail
    assert answer.receipt.log_index == 0
    assert answer.receipt.route_version == "local"


CHEAP_TIER = {"fallback": "FALLBACK_CHEAP_TIER", "allowWithoutModel": True}


def _without_model(
    script: Script, seen: Observations | None = None
) -> Callable[[CheckRequest], InferResponse]:
    """A pod whose model is broken: detectors look all the same, where they alone are asked."""

    def answer(check: CheckRequest) -> InferResponse:
        if not script.asked[-1].detectors_only:
            raise OstiaryError(Reason.UNAVAILABLE, "this pod's model failed")
        found = truthful(check, seen)
        del found.observations.scores[:]
        return found

    return answer


@pytest.mark.parametrize(
    ("failure", "seen", "verdict", "asked"),
    [
        ({}, None, Verdict.VERDICT_HOLD, 1),
        ({"fallback": "FALLBACK_CHEAP_TIER"}, None, Verdict.VERDICT_REVIEW, 2),
        (CHEAP_TIER, None, Verdict.VERDICT_ALLOW, 2),
        (CHEAP_TIER, CONTACT, Verdict.VERDICT_BLOCK, 2),
    ],
    ids=["held", "a person looks", "allowed as the author says", "what detectors see blocks"],
)
async def test_a_broken_model(
    site: Site,
    script: Script,
    failure: dict[str, object],
    seen: Observations | None,
    verdict: int,
    asked: int,
) -> None:
    """The pod's detectors are asked alone where the policy lets a cheap tier stand in, and this is marked."""
    script.answer = _without_model(script, seen)
    policy = yaml.safe_load((site.folder / "policy.yaml").read_text("utf-8"))
    site.write("policy.yaml", policy | ({"failure": failure} if failure else {}))
    async with site.start() as running:
        answer = await running.as_("pipeline").Check(request(), timeout=10)
    assert (answer.verdict, len(script.asked)) == (verdict, asked)
    state = {result.policy: result.state for result in answer.policies}["prohibited_ads"]
    assert (state == PolicyState.POLICY_STATE_CHEAP_TIER) is answer.receipt.cheap_tier is bool(failure)
    assert bool(answer.images) is bool(failure)


async def test_a_slow_model_leaves_time_for_the_detectors(site: Site, script: Script) -> None:
    """Where the model does not answer in its share of the time, the detectors do in theirs."""
    release = script.gate

    async def open_for_detectors() -> None:
        await until(lambda: any(each.detectors_only for each in script.asked))
        release.set()

    script.answer = _without_model(script)
    release.clear()
    policy = yaml.safe_load((site.folder / "policy.yaml").read_text("utf-8"))
    site.write("policy.yaml", policy | {"failure": {"fallback": "FALLBACK_CHEAP_TIER"}})
    async with site.start() as running:
        opening = asyncio.create_task(open_for_detectors())
        judged = await running.as_("pipeline").Check(request(), timeout=3)
        await opening
    assert judged.verdict == Verdict.VERDICT_REVIEW
    assert judged.receipt.cheap_tier
    assert judged.images


async def test_a_slow_pod_is_held_within_the_deadline(running: Running, script: Script) -> None:
    """The caller hears HOLD in time, and not nothing."""
    script.gate.clear()
    answer = await running.as_("pipeline").Check(request(), timeout=1.5)
    assert [reason.code for reason in answer.hold_reasons] == ["unavailable"]


async def test_overload_says_when_to_come_back(site: Site, script: Script) -> None:
    """The one place is taken: the next caller is refused at once, with a time; then there is room again."""
    script.gate.clear()
    async with site.start(admission={"max_checks": 1, "max_wait": 0}) as running:
        pipeline = running.as_("pipeline")
        first = asyncio.ensure_future(pipeline.Check(request(), timeout=20))
        await script.arrived.wait()
        error = await refusal(pipeline.Check(request(), timeout=20))
        assert error.reason is Reason.OVERLOADED
        assert error.retry_after is not None
        assert error.retry_after > 0
        script.gate.set()
        assert (await first).verdict == Verdict.VERDICT_ALLOW
        assert (await pipeline.Check(request(), timeout=20)).verdict == Verdict.VERDICT_ALLOW


async def test_the_canonical_image_of_ones_own_check(running: Running) -> None:
    """The bytes to publish come back whole, in pieces of at most 1 MiB, with their hash."""
    raw = b"x" * 2_500_000
    answer = await running.as_("pipeline").Check(request(raw), timeout=10)
    ask = GetCanonicalImageRequest(check_id=answer.check_id)
    pieces = [piece async for piece in running.as_("pipeline").GetCanonicalImage(ask, timeout=10)]
    data = b"".join(piece.data for piece in pieces)
    assert data == canonical_bytes(raw)
    assert pieces[0].image == answer.images[0]
    assert not any(piece.HasField("image") for piece in pieces[1:])
    assert max(len(piece.data) for piece in pieces) <= 1 << 20


@pytest.mark.parametrize(
    ("who", "known", "index"),
    [("stranger", True, 0), ("pipeline", True, 5), ("pipeline", False, 0)],
    ids=["another tenant", "no such image", "no such check"],
)
async def test_canonical_images_that_are_not_there(
    running: Running, who: str, known: bool, index: int
) -> None:
    """Another tenant's image is not there either: nothing tells the two apart."""
    answer = await running.as_("pipeline").Check(request(), timeout=10)
    ask = GetCanonicalImageRequest(check_id=answer.check_id if known else "none", image_index=index)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [piece async for piece in running.as_(who).GetCanonicalImage(ask, timeout=10)]
    assert from_rpc_error(caught.value).reason is Reason.NOT_FOUND
