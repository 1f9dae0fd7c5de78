"""The authoriser of a fixed set of callers."""

from datetime import UTC, datetime

import pytest

from ostiary.wire.authorization import AllowedIds, Principal
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import Peer, SpiffeId

ID, OTHER = SpiffeId("td", "/a"), SpiffeId("td", "/b")


def peer(spiffe_id: SpiffeId) -> Peer:
    return Peer(spiffe_id, 1, datetime.now(UTC), "00")


def test_allowed_ids() -> None:
    """Exact IDs may call exact methods; all else is denied."""
    authorizer = AllowedIds("gateway", {ID}, {"/s/M"})
    assert authorizer.authorize(peer(ID), "/s/M", {}) == Principal(ID, "gateway", "")
    assert [authorizer.covers(method) for method in ("/s/M", "/s/N")] == [True, False]
    for spiffe_id, method in ((OTHER, "/s/M"), (ID, "/s/N"), (SpiffeId("td2", "/a"), "/s/M")):
        with pytest.raises(OstiaryError) as caught:
            authorizer.authorize(peer(spiffe_id), method, {})
        assert caught.value.reason is Reason.PERMISSION_DENIED
