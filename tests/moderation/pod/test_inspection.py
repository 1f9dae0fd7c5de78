"""What a pod makes of a check: real decoders, the real barcode detector, a small engine."""

import asyncio
import hashlib
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
from ostiary_moderation.inspection import Inspector


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
async def decoders() -> AsyncIterator[DecodePool]:
    async with DecodePool() as pool:
        yield pool


@pytest.fixture
def engine() -> RednessEngine:
    return RednessEngine()


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


async def test_the_listing_reaches_the_model(inspector: Inspector, engine: RednessEngine) -> None:
    """Title, description, category and language go along with the pixels."""
    request = check([card("red")])
    request.listing.CopyFrom(Listing(title="T", description="D", category="shoes", language="zh"))
    await inspector.inspect(request)
    (look,) = engine.requests
    words = (look.listing.title, look.listing.description, look.listing.category, look.listing.language)
    assert words == ("T", "D", "shoes", "zh")
    assert look.images[0].shape == (40, 60, 3)
    assert np.array_equal(look.images[0][0, 0], [255, 0, 0])


async def test_a_failing_model_makes_the_pod_unavailable(inspector: Inspector, engine: RednessEngine) -> None:
    """The gateway learns that it was the pod, without what went wrong inside."""
    engine.error = RuntimeError("a secret")
    with pytest.raises(OstiaryError, match="model failed") as failure:
        await inspector.inspect(check([card("red")]))
    assert failure.value.reason is Reason.UNAVAILABLE
    assert "secret" not in failure.value.message


async def test_cancelling_a_check_cancels_the_look(inspector: Inspector, engine: RednessEngine) -> None:
    """A caller that goes away frees the model."""
    engine.hold.clear()
    inspecting = asyncio.create_task(inspector.inspect(check([card("red")])))
    await engine.entered.get()
    inspecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await inspecting
    assert engine.cancelled == 1
