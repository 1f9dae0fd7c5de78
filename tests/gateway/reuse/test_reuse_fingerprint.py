"""What counts as the same work, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import sights
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing, Wants
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.observation_pb2 import DetectorInfo, Observations
from ostiary_gateway.received import ReceivedCheck
from ostiary_gateway.reuse.fingerprint import Looker, fingerprint

SECRET = b"s" * 32


def looker(seen: Observations) -> Looker:
    return Looker.of(seen.bundle, seen.detectors, seen.gallery_digest)


LOOKER = looker(sights.clean())


def print_of(request: CheckRequest, tenant: str = "t", who: Looker = LOOKER, secret: bytes = SECRET) -> bytes:
    return fingerprint(secret, tenant, check_of(request.SerializeToString()), who)


def check_of(raw: bytes) -> ReceivedCheck:
    return ReceivedCheck.of(raw, CheckRequest.FromString(raw))


def request(**fields: object) -> CheckRequest:
    given: dict[str, object] = {
        "images": [Image(data=b"one"), Image(data=b"two")],
        "listing": Listing(title="Cup"),
    }
    return CheckRequest(**(given | fields))  # type: ignore[arg-type]


def test_the_idempotency_key_makes_no_difference() -> None:
    """It names an attempt: without it, no two attempts would ever be the same work."""
    assert (
        print_of(request(idempotency_key="a"))
        == print_of(request(idempotency_key="b"))
        == print_of(request())
    )


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(request(images=[Image(data=b"one")]), id="an image less"),
        pytest.param(request(images=[Image(data=b"two"), Image(data=b"one")]), id="another order"),
        pytest.param(request(images=[Image(data=b"onet"), Image(data=b"wo")]), id="other borders"),
        pytest.param(request(images=[Image(data=b"one", name="x"), Image(data=b"two")]), id="a name"),
        pytest.param(request(listing=Listing(title="Cups")), id="the title"),
        pytest.param(request(listing=Listing(title="Cup", seller="s")), id="the seller"),
        pytest.param(request(wants=Wants(flags=True)), id="what is wanted"),
    ],
)
def test_all_else_that_a_pod_is_sent_makes_one(other: CheckRequest) -> None:
    """Whatever could change what is seen, or what is looked for, is other work."""
    assert print_of(other) != print_of(request())


def test_tenants_and_processes_share_nothing() -> None:
    """Another tenant's identical work has another fingerprint, and so has another process's."""
    prints = {print_of(request()), print_of(request(), tenant="u"), print_of(request(), secret=b"o" * 32)}
    assert len(prints) == 3


def _with(change: str) -> Observations:
    seen = sights.clean()
    if change == "bundle":
        seen.bundle.digest = b"e" * 32
    elif change == "dtype":
        seen.bundle.dtype = "nf4"
    elif change == "gallery":
        seen.gallery_digest = b"g" * 32
    elif change == "a detector's version":
        seen.detectors[0].version = "2"
    else:
        seen.detectors.add(name="logo", completed=True)
    return seen


@pytest.mark.parametrize("change", ["bundle", "dtype", "gallery", "a detector's version", "a detector more"])
def test_whoever_looks_otherwise_makes_one(change: str) -> None:
    """Another bundle, gallery or detector may see something else."""
    other = _with(change)
    assert print_of(request(), who=looker(other)) != print_of(request())
    assert not LOOKER.made(other)


def test_how_a_detector_fared_is_not_what_it_is() -> None:
    """Order and outcome do not tell which detectors they are; none looks where flags are not wanted."""
    seen = sights.clean()
    turned = Observations(bundle=seen.bundle, detectors=list(seen.detectors)[::-1])
    turned.detectors[0].completed = False
    assert LOOKER.made(seen)
    assert LOOKER.made(turned)
    assert LOOKER.made(Observations(bundle=seen.bundle))


@given(st.binary(max_size=64), st.text(max_size=8), st.text(max_size=8))
def test_any_request_has_one(data: bytes, title: str, key: str) -> None:
    """Fields of every kind count, also those that this gateway does not know."""
    plain = CheckRequest(images=[Image(data=data)], listing=Listing(title=title), wants=Wants(flags=True))
    raw = plain.SerializeToString()
    keyed = CheckRequest(idempotency_key=key).SerializeToString()
    unknown = b"\xa0\x06\x96\x01" + b"\xa5\x06abcd" + b"\xa1\x06abcdefgh"  # field 100: varint, 4 and 8 bytes
    assert CheckRequest.FromString(raw + unknown).images[0].data == data
    variants = (raw, keyed + raw, raw + keyed, raw + unknown)
    of = [fingerprint(SECRET, "t", check_of(each), LOOKER) for each in variants]
    assert of[0] == of[1] == of[2] != of[3]


def test_a_detector_is_told_by_name_and_version() -> None:
    """Two fields that run together are not taken for others."""
    one = Looker.of(sights.clean().bundle, [DetectorInfo(name="ab", version="c")], b"")
    other = Looker.of(sights.clean().bundle, [DetectorInfo(name="a", version="bc")], b"")
    assert one != other
