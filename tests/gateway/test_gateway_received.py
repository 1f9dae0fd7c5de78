"""What of a check is held while it is worked on."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing, Wants
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary_gateway.received import ReceivedCheck


@given(
    images=st.lists(st.tuples(st.binary(max_size=100), st.text(max_size=9)), max_size=8),
    key=st.text(max_size=9),
    wants=st.one_of(st.none(), st.builds(Wants, flags=st.booleans())),
)
def test_all_but_the_images_bytes(images: list[tuple[bytes, str]], key: str, wants: Wants | None) -> None:
    """The request stays as it was but for the images' data, of which the hashes are kept."""
    unknown = b"\xa0\x06\x96\x01"  # field 100, of a client that knows more
    sent = CheckRequest(idempotency_key=key, listing=Listing(title="Cup"), wants=wants)
    sent.images.extend(Image(data=data, name=name) for data, name in images)
    raw = sent.SerializeToString() + unknown
    check = ReceivedCheck.of(raw, CheckRequest.FromString(raw))
    assert (check.raw, check.sha256) == (raw, sha256(raw).digest())
    assert check.image_sha256s == tuple(sha256(data).digest() for data, _ in images)
    left = CheckRequest.FromString(raw)
    for image in left.images:
        image.ClearField("data")
    assert check.request == left
    assert check.request.SerializeToString(deterministic=True).endswith(unknown)
