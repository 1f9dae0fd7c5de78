"""What a caller may send."""

from datetime import UTC, datetime

import pytest

from ostiary.v1.listing_pb2 import Listing
from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import Peer, SpiffeId
from ostiary_gateway.rbac.scope import check_scope

PEER = Peer(SpiffeId.parse("spiffe://a.test/x"), 1, datetime.now(UTC), "00")
SHOES_IN_EUROPE = Principal(PEER.id, "eu-shoes", "one", frozenset({"shoes"}), frozenset({"DE", "FR"}))
FREE = Principal(PEER.id, "pipeline", "one")


@pytest.mark.parametrize(
    ("principal", "listing"),
    [
        pytest.param(FREE, Listing(), id="a role held to nothing"),
        pytest.param(FREE, Listing(category="home", territory="US"), id="the same, anything"),
        pytest.param(SHOES_IN_EUROPE, Listing(category="shoes", territory="FR"), id="within"),
    ],
)
def test_a_listing_within_the_role_goes_on(principal: Principal, listing: Listing) -> None:
    """Nothing is refused that the role allows."""
    check_scope(principal, listing)


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        pytest.param(
            Listing(category="home", territory="DE"),
            "category shoes alone, and this one has home",
            id="category",
        ),
        pytest.param(
            Listing(category="shoes", territory="US"),
            "territory DE or FR alone, and this one has US",
            id="territory",
        ),
        pytest.param(Listing(territory="DE"), "this one has none", id="what is not said is not allowed"),
    ],
)
def test_a_listing_beyond_the_role_is_refused(listing: Listing, words: str) -> None:
    """The caller is told what its role is held to."""
    with pytest.raises(OstiaryError, match=words) as caught:
        check_scope(SHOES_IN_EUROPE, listing)
    assert caught.value.reason is Reason.PERMISSION_DENIED
