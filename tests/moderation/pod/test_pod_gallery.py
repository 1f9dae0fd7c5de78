"""Galleries: which one is in force, what of it is refused, and what a pod says it can judge with it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from moderation.pod.galleries import Caption, Lookup, mark, put
from moderation.pod.parts import DECLARATION, RednessEngine, card, check
from ostiary.v1.inference_pb2 import GalleryMark, PutGalleryRequest
from ostiary.v1.listing_pb2 import Wants
from ostiary.v1.observation_pb2 import Observations
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_moderation.bundle import Bundle
from ostiary_moderation.declaration import Declaration
from ostiary_moderation.decode.pool import DecodePool
from ostiary_moderation.detector import DetectorError, load_detectors
from ostiary_moderation.detectors.runner import DetectorRunner, GalleryRunner
from ostiary_moderation.gallery import MAX_MARKS, Galleries
from ostiary_moderation.inspection import Inspector

NONE_YET = b""


@pytest.fixture
def lookup() -> Lookup:
    return Lookup()


@pytest.fixture
def galleries(lookup: Lookup) -> Iterator[Galleries]:
    runner = GalleryRunner(lookup)
    yield Galleries([runner])
    runner.close()


async def refusal(galleries: Galleries, request: PutGalleryRequest) -> OstiaryError:
    with pytest.raises(OstiaryError) as failure:
        await galleries.put(request)
    return failure.value


async def test_a_gallery_comes_into_force(galleries: Galleries) -> None:
    """With its digest, and with the policy that can be judged by it."""
    assert galleries.in_force.digest == NONE_YET
    assert not galleries.in_force.policies
    request = put(mark("larkfield"), mark("quayside"))
    gallery = await galleries.put(request)
    assert gallery is galleries.in_force
    assert gallery.digest == request.digest
    assert gallery.policies == {"logo_infringement"}
    assert gallery.refused == ()


@pytest.mark.parametrize(
    ("marks", "why"),
    [
        pytest.param([mark("x", "x")], "x-word: too short", id="refused by the detector"),
        pytest.param([GalleryMark(brand="b", words=["word"])], "mark 1: has no reference id", id="no id"),
        pytest.param([GalleryMark(reference_id="r", words=["word"])], "r: has no brand", id="no brand"),
        pytest.param(
            [GalleryMark(brand="b", reference_id="r")], "r: has neither", id="nothing to compare with"
        ),
        pytest.param(
            [mark("b", reference_id="larkfield-word")],
            "larkfield-word: another mark has this reference id",
            id="an id twice",
        ),
    ],
)
async def test_bad_marks_do_not_cost_the_others(
    galleries: Galleries, marks: list[GalleryMark], why: str
) -> None:
    """They are refused with the reason; the digest in use is still that of what was sent."""
    request = put(mark("larkfield"), *marks)
    gallery = await galleries.put(request)
    assert gallery.digest == request.digest
    (refused,) = gallery.refused
    assert refused.startswith(why)
    assert gallery.policies


async def test_a_gallery_of_which_nothing_is_left_judges_nothing(galleries: Galleries) -> None:
    """An empty one, and one of degenerate marks, have their digest, so that they are not sent again."""
    for request in (put(), put(mark("x", "x"))):
        gallery = await galleries.put(request)
        assert gallery.digest == request.digest
        assert not gallery.policies


@pytest.mark.parametrize("digest", [b"", bytes(32), hashlib.sha256(b"other").digest()[:31]])
async def test_another_digest_is_refused_and_the_old_gallery_stays(
    galleries: Galleries, digest: bytes
) -> None:
    """What came over the wire is not what was sent: nothing changes."""
    before = await galleries.put(put(mark("larkfield")))
    error = await refusal(galleries, PutGalleryRequest(digest=digest, marks=[mark("quayside")]))
    assert error.reason is Reason.INVALID_FIELD
    assert [violation.field for violation in error.violations] == ["digest"]
    assert galleries.in_force is before


async def test_too_many_marks_are_refused(galleries: Galleries) -> None:
    """With how many there may be; as many as that are taken."""
    marks = [mark("b", "bb", reference_id=f"r{number}") for number in range(MAX_MARKS + 1)]
    error = await refusal(galleries, put(*marks))
    assert error.reason is Reason.INVALID_FIELD
    assert "at most 10000" in error.message
    assert (await galleries.put(put(*marks[:-1]))).refused == ()


async def test_the_same_gallery_is_not_prepared_again(galleries: Galleries, lookup: Lookup) -> None:
    """Every gateway sends it; the first one's counts, and all are told what was refused."""
    first = await galleries.put(put(mark("larkfield"), mark("x", "x")))
    assert await galleries.put(put(mark("x", "x"), mark("larkfield"))) is first
    assert lookup.prepared == 2  # of no marks, when the pod started, and of these


async def test_a_pod_without_a_detector_for_galleries_says_so() -> None:
    """UNIMPLEMENTED, with what to add to the bundle."""
    error = await refusal(Galleries(), put(mark("larkfield")))
    assert error.reason is Reason.UNIMPLEMENTED
    assert "add logo" in error.message


@pytest.fixture
async def site(galleries: Galleries) -> AsyncIterator[tuple[Inspector, Caption]]:
    """An inspector of one caption, and of galleries."""
    engine, caption = RednessEngine(), Caption("larkfield")
    runner = DetectorRunner(caption)
    async with DecodePool(views=engine.view_spec) as decoders:
        yield Inspector(decoders, [runner], engine, DECLARATION, galleries), caption
    runner.close()


async def seen(inspector: Inspector, *files: bytes) -> Observations:
    return (await inspector.inspect(check(files or [card("red")]))).observations


def outcomes(observed: Observations) -> dict[str, tuple[bool, str]]:
    return {detector.name: (detector.completed, detector.error) for detector in observed.detectors}


async def test_without_a_gallery_nothing_is_said_of_brands(site: tuple[Inspector, Caption]) -> None:
    """No candidate and no capability: the policy is unsupported. The detector is named, so that gateways with
    a gallery know that this pod could compare with it, and the failure of OCR is not its own.
    """
    inspector, caption = site
    caption.fails = True
    observed = await seen(inspector)
    assert not observed.brands
    assert outcomes(observed) == {"ocr": (False, "image 0: too dark"), "lookup": (True, "")}
    assert list(observed.capabilities) == list(DECLARATION.capabilities)
    assert observed.gallery_digest == NONE_YET


async def test_brands_are_compared_with_the_gallery(
    site: tuple[Inspector, Caption], galleries: Galleries
) -> None:
    """Candidates in every image, the capability, what looked, the digest, and the time it took."""
    gallery = await galleries.put(put(mark("larkfield")))
    response = await site[0].inspect(check([card("red"), card("blue")]))
    observed = response.observations
    assert [(each.brand, each.region.image_index) for each in observed.brands] == [
        ("larkfield", 0),
        ("larkfield", 1),
    ]
    assert outcomes(observed) == {"ocr": (True, ""), "lookup": (True, "")}
    assert list(observed.capabilities) == ["logo_infringement", "prohibited_ads", "redness"]
    assert observed.gallery_digest == gallery.digest
    assert "lookup" in {timing.stage for timing in response.timings}


async def test_with_nothing_readable_the_pod_still_says_what_it_could_judge(
    site: tuple[Inspector, Caption], galleries: Galleries
) -> None:
    """As for every other detector."""
    await galleries.put(put(mark("larkfield")))
    observed = await seen(site[0], b"junk")
    assert outcomes(observed) == {"ocr": (True, ""), "lookup": (True, "")}
    assert "logo_infringement" in observed.capabilities


async def test_what_was_not_read_was_not_compared(
    site: tuple[Inspector, Caption], galleries: Galleries
) -> None:
    """Where OCR did not complete, neither did the comparison: silence is no judgement."""
    inspector, caption = site
    await galleries.put(put(mark("larkfield")))
    caption.fails = True
    observed = await seen(inspector)
    assert outcomes(observed)["lookup"] == (False, "ocr did not complete")
    assert "logo_infringement" in observed.capabilities


async def test_a_check_finishes_with_the_gallery_that_it_began_with(
    site: tuple[Inspector, Caption], galleries: Galleries
) -> None:
    """One that is replaced in the middle of a check is used to its end, and is the one that is named."""
    inspector, caption = site
    before = await galleries.put(put(mark("larkfield")))
    caption.go_on.clear()
    looking = asyncio.create_task(seen(inspector))
    await asyncio.to_thread(caption.entered.acquire)
    after = await galleries.put(put(mark("quayside")))
    caption.go_on.set()
    observed = await looking
    assert [each.brand for each in observed.brands] == ["larkfield"]
    assert observed.gallery_digest == before.digest
    assert (await seen(inspector)).gallery_digest == after.digest
    assert not (await seen(inspector)).brands


async def test_without_flags_nothing_is_compared(
    site: tuple[Inspector, Caption], galleries: Galleries
) -> None:
    """Who wants a description alone pays for nothing else."""
    await galleries.put(put(mark("larkfield")))
    request = check([card("red")])
    request.wants.CopyFrom(Wants(description=True))
    observed = (await site[0].inspect(request)).observations
    assert not observed.brands
    assert not observed.detectors


@pytest.mark.parametrize("listed", [True, False], ids=["listed in the bundle", "not listed"])
def test_a_policy_of_galleries_alone_is_not_declared_without_one(listed: bool) -> None:
    """A bundle may list the policy: before there is a gallery nobody judges it all the same."""
    bundle = Bundle.load("mini")
    if listed:
        manifest = bundle.manifest.model_copy(
            update={"capabilities": (*bundle.manifest.capabilities, "logo_infringement")}
        )
        bundle = replace(bundle, manifest=manifest)
    assert Declaration.of(bundle, [Lookup()]).capabilities == ("prohibited_ads",)


def test_a_detector_is_refused_without_what_it_builds_on() -> None:
    """A bundle that has `logo` without `ocr` is told what to add."""
    with pytest.raises(DetectorError, match="detector logo: builds on what ocr saw; add it"):
        load_detectors([("logo", {})], threads=1)
