"""What a pod makes of a check: real decoders, the real barcode detector, a small engine."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from moderation.pod.parts import DECLARATION, RednessEngine, blinking, card, check, qr_code
from ostiary.v1.listing_pb2 import Listing, Wants
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_moderation.decode.pool import DecodePool
from ostiary_moderation.detector import DecodedImage, Detections, Example, load_detectors
from ostiary_moderation.detectors.runner import DetectorRunner
from ostiary_moderation.engine import LookExpiredError, LookFailedError, OutOfMemoryError
from ostiary_moderation.inspection import Inspector
from ostiary_moderation.turns import Turn, TurnLimits, Turns


class Faulty:
    """A detector that always fails."""

    name = "faulty"
    version = "0"
    policies = ("redness",)

    def detect(self, images: Sequence[DecodedImage]) -> Detections:
        raise MemoryError

    def examples(self) -> Iterator[Example]:
        yield from ()


@pytest.fixture
def engine() -> RednessEngine:
    return RednessEngine()


@pytest.fixture
async def decoders(engine: RednessEngine) -> AsyncIterator[DecodePool]:
    async with DecodePool(views=engine.view_spec) as pool:
        yield pool


@pytest.fixture
def runners() -> Iterator[list[DetectorRunner]]:
    (barcode,) = load_detectors([("barcode", {})], threads=1)
    made = [DetectorRunner(barcode), DetectorRunner(Faulty())]
    yield made
    for runner in made:
        runner.close()


@pytest.fixture
def inspector(decoders: DecodePool, runners: list[DetectorRunner], engine: RednessEngine) -> Inspector:
    return Inspector(decoders, runners, engine, DECLARATION)


async def test_everything_seen_is_reported(inspector: Inspector) -> None:
    """Images, hashes, codes with their places, scores per image, attributes, description, what looked."""
    files = [card("red"), qr_code("https://example.com")]
    response = await inspector.inspect(check(files))
    seen = response.observations
    assert [image.raw_sha256 for image in seen.images] == [hashlib.sha256(data).digest() for data in files]
    for image, sent in zip(seen.images, response.canonical, strict=True):
        assert image.sha256 == hashlib.sha256(sent.data).digest()
        assert (image.image_index, image.size_bytes) == (sent.image_index, len(sent.data))
        with Image.open(BytesIO(sent.data)) as published:
            assert published.size == (image.width, image.height)
    assert [(code.text, code.region.image_index) for code in seen.barcodes] == [("https://example.com", 1)]
    scores = {score.image_index: score for score in seen.scores}
    assert scores[0].probability == 1.0
    assert scores[1].probability == pytest.approx(1 / 3, abs=0.01)
    assert {score.source for score in seen.scores} == {"vlm"}
    assert [attribute.value for attribute in seen.attributes] == ["red"]
    assert (seen.description.text, seen.description.language) == ("2 pictures", "en")
    assert seen.bundle == DECLARATION.bundle
    assert list(seen.capabilities) == ["prohibited_ads", "redness"]
    assert list(seen.calibration) == list(DECLARATION.calibration)
    stages = {timing.stage for timing in response.timings}
    assert stages == {"decode", "barcode", "faulty", "wait", "look"}


async def test_a_faulty_image_does_not_keep_the_others_back(inspector: Inspector) -> None:
    """The readable image is judged under its own index; the others are faults with their reasons."""
    response = await inspector.inspect(check([b"not an image", card("red"), b"", card("red")[:50]]))
    seen = response.observations
    assert [image.image_index for image in seen.images] == [1]
    assert [(fault.image_index, fault.code) for fault in seen.faults] == [
        (0, "unsupported_format"),
        (2, "empty"),
        (3, "unreadable"),
    ]
    assert [score.image_index for score in seen.scores] == [1]
    assert [sent.image_index for sent in response.canonical] == [1]


async def test_nothing_readable_is_an_answer(inspector: Inspector, engine: RednessEngine) -> None:
    """With faults alone the model is not asked, and the pod still says what it is."""
    seen = (await inspector.inspect(check([b"junk"]))).observations
    assert engine.requests == []
    assert not seen.images
    assert not seen.scores
    assert seen.bundle.name == "redness"
    assert [detector.name for detector in seen.detectors] == ["barcode", "faulty"]


async def test_a_failing_detector_is_reported(inspector: Inspector) -> None:
    """Its failure is on record beside what the others saw."""
    seen = (await inspector.inspect(check([card("red")]))).observations
    outcomes = {detector.name: (detector.completed, detector.error) for detector in seen.detectors}
    assert outcomes == {"barcode": (True, ""), "faulty": (False, "image 0: MemoryError")}
    assert len(seen.scores) == 1


async def test_frames_of_an_animation_count_for_their_image(
    inspector: Inspector, engine: RednessEngine
) -> None:
    """One score per image and question: that of the frame that speaks most for yes."""
    seen = (await inspector.inspect(check([card("white"), blinking()]))).observations
    assert len(engine.requests[0].images) == 4
    assert {score.image_index: score.probability for score in seen.scores} == {
        0: pytest.approx(1 / 3),
        1: 1.0,
    }


@pytest.mark.parametrize(
    ("wants", "asked"),
    [
        (Wants(flags=True), (True, False, False)),
        (Wants(description=True), (False, True, False)),
        (Wants(attributes=True), (False, False, True)),
    ],
    ids=["flags", "description", "attributes"],
)
async def test_only_what_is_wanted_is_done(
    inspector: Inspector, engine: RednessEngine, wants: Wants, asked: tuple[bool, bool, bool]
) -> None:
    """Detectors and calibration come with flags; the model is told what to leave out."""
    request = check([qr_code("x")])
    request.wants.CopyFrom(wants)
    seen = (await inspector.inspect(request)).observations
    (look,) = engine.requests
    assert (look.flags, look.description, look.attributes) == asked
    assert bool(seen.barcodes) is bool(seen.detectors) is bool(seen.calibration) is wants.flags


@pytest.mark.parametrize(
    ("wants", "anyway"),
    [(None, False), (Wants(flags=True, description=True), True), (Wants(flags=True), False)],
    ids=["nothing said", "asked for", "not wanted"],
)
async def test_a_reject_is_described_for_who_asks(
    inspector: Inspector, engine: RednessEngine, wants: Wants | None, anyway: bool
) -> None:
    """Only a caller that has named the description wants one of what is rejected."""
    request = check([card("red")])
    if wants is not None:
        request.wants.CopyFrom(wants)
    await inspector.inspect(request)
    (look,) = engine.requests
    assert look.describe_rejected is anyway


class NotedTurn(Turn):
    """A turn that keeps what it was asked for and given back, in bytes."""

    def __init__(self) -> None:
        super().__init__(Turns())
        self.taken: list[int] = []
        self.returned: asyncio.Queue[int] = asyncio.Queue()

    async def take(self, size: int) -> None:
        self.taken.append(size)
        await super().take(size)

    def give_back(self, size: int) -> None:
        super().give_back(size)
        self.returned.put_nowait(size)


PIXELS = 60 * 40 * 3  # of a card; the model's view of it has as many


@pytest.mark.parametrize(
    ("flags", "decoded"), [(True, 2 * PIXELS), (False, PIXELS)], ids=["flags", "no flags"]
)
async def test_pixels_travel_only_for_detectors(inspector: Inspector, flags: bool, decoded: int) -> None:
    """Without flags the pod takes into memory what it sends back and the model's view alone."""
    request, turn = check([card("red")]), NotedTurn()
    request.wants.CopyFrom(Wants(flags=flags, description=True))
    response = await inspector.inspect(request, turn)
    sent_back = response.canonical[0]
    assert turn.taken == [len(sent_back.data) + len(sent_back.blurred) + decoded]


async def test_memory_is_let_go_of_when_nothing_needs_it(inspector: Inspector, engine: RednessEngine) -> None:
    """While the model still looks, the encoded file and the detectors' pixels are given back."""
    engine.hold.clear()
    turn = NotedTurn()
    inspecting = asyncio.create_task(inspector.inspect(check([card("red")]), turn))
    assert [await turn.returned.get() for _ in range(2)] == [len(card("red")), PIXELS]
    assert not inspecting.done()
    engine.hold.set()
    response = await inspecting
    sent_back = response.canonical[0]
    assert turn.held == len(sent_back.data) + len(sent_back.blurred) + PIXELS


class WatchedTurns(Turns):
    """Turns that note the most bytes held."""

    most = 0

    async def take(self, turn: Turn, size: int) -> None:
        await super().take(turn, size)
        self.most = max(self.most, self.bytes_held)


async def test_checks_that_do_not_fit_together_take_turns(engine: RednessEngine) -> None:
    """With memory for less than one check all are looked at, and what they hold is little more than one's."""
    (barcode,) = load_detectors([("barcode", {})], threads=1)
    runner, turns = DetectorRunner(barcode), WatchedTurns(TurnLimits(max_bytes=100_000))

    async def look(inspector: Inspector, number: int) -> list[int]:
        async with turns.turn() as turn:
            files = [card((number, 0, 0), (200, 100 + image)) for image in range(3)]
            response = await inspector.inspect(check(files), turn)
            return [image.height for image in response.observations.images]

    async with DecodePool(workers=2, views=engine.view_spec) as decoders:
        inspector = Inspector(decoders, [runner], engine, DECLARATION)
        seen = await asyncio.gather(*(look(inspector, number) for number in range(12)))
    runner.close()
    assert seen == [[100, 101, 102]] * 12
    one = 3 * 2 * (200 * 103 * 3)  # a view and pixels of each of three images
    assert one < turns.most < one + 100_000 + 20_000  # files, encoded and canonical
    assert turns.bytes_held == 0


async def test_the_listing_reaches_the_model(inspector: Inspector, engine: RednessEngine) -> None:
    """Title, description, category and language go along with the pixels."""
    request = check([card("red")])
    request.listing.CopyFrom(Listing(title="T", description="D", category="shoes", language="zh"))
    await inspector.inspect(request)
    (look,) = engine.requests
    words = (look.listing.title, look.listing.description, look.listing.category, look.listing.language)
    assert words == ("T", "D", "shoes", "zh")
    assert look.images[0].first.shape == (40, 60, 3)
    assert np.array_equal(look.images[0].first[0, 0], [255, 0, 0])


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (RuntimeError("a secret"), Reason.UNAVAILABLE, "model failed"),
        (LookFailedError("a secret"), Reason.UNAVAILABLE, "gave no answer"),
        (OutOfMemoryError("a secret"), Reason.UNAVAILABLE, "does not fit into this pod's memory"),
        (LookExpiredError("a secret"), Reason.DEADLINE_EXPIRED, "deadline passed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_a_failing_model_gives_no_answer(
    inspector: Inspector, engine: RednessEngine, error: Exception, reason: Reason, words: str
) -> None:
    """The gateway learns that it was the pod, or the time, without what went wrong inside."""
    engine.error = error
    with pytest.raises(OstiaryError, match=words) as failure:
        await inspector.inspect(check([card("red")]))
    assert failure.value.reason is reason
    assert "secret" not in failure.value.message


async def test_detectors_alone(inspector: Inspector, engine: RednessEngine) -> None:
    """Where the model has failed, the rest of the pod still looks; what the model was asked stays open."""
    engine.error = RuntimeError("broken")
    code = qr_code("https://example.com/")
    seen = (await inspector.inspect(check([code, b"no image"]), detectors_only=True)).observations
    assert not engine.requests
    assert [barcode.text for barcode in seen.barcodes] == ["https://example.com/"]
    assert ([image.image_index for image in seen.images], seen.faults[0].image_index) == ([0], 1)
    assert {each.name: each.completed for each in seen.detectors} == {"barcode": True, "faulty": False}
    assert seen.bundle == DECLARATION.bundle
    assert seen.calibration
    assert not seen.scores
    nothing = (await inspector.inspect(check([b"no image"]), detectors_only=True)).observations
    assert {each.name for each in nothing.detectors} == {"barcode", "faulty"}


async def test_the_deadline_reaches_the_model(inspector: Inspector, engine: RednessEngine) -> None:
    """The model is told until when the answer is waited for; without a deadline, that there is none."""
    for deadline in (time.monotonic() + 60, None):
        await inspector.inspect(check([card("red")]), deadline=deadline)
        assert engine.requests[-1].deadline == deadline


async def test_cancelling_a_check_cancels_the_look(inspector: Inspector, engine: RednessEngine) -> None:
    """A caller that goes away frees the model."""
    engine.hold.clear()
    inspecting = asyncio.create_task(inspector.inspect(check([card("red")])))
    await engine.entered.get()
    inspecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await inspecting
    assert engine.cancelled == 1
