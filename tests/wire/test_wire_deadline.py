"""Deadlines, and how a call counts down to its own."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ostiary.wire.authorization import Principal
from ostiary.wire.call import Call
from ostiary.wire.deadline import trim
from ostiary.wire.identity import Peer, SpiffeId


@given(st.floats(0, 1e6), st.floats(0, 10))
def test_trim_leaves_time_on_both_sides(remaining: float, margin: float) -> None:
    """The margin is kept back, never more than a tenth, and never more than there is."""
    trimmed = trim(remaining, margin)
    assert trimmed is not None
    assert 0.9 * remaining - 1e-6 <= trimmed <= remaining
    assert remaining - trimmed <= margin + 1e-6


def test_trim_without_a_deadline() -> None:
    """No deadline stays none; one that has passed stays passed."""
    assert trim(None) is None
    assert trim(-1.0) == 0.0


def test_call_counts_down() -> None:
    """A call's remaining time follows its clock and stops at zero."""
    now = [100.0]
    spiffe_id = SpiffeId("td", "/a")
    peer = Peer(spiffe_id, 1, datetime.now(UTC), "00")
    principal = Principal(spiffe_id, "r", "")
    call = Call("/m", peer, principal, deadline=103.0, clock=lambda: now[0])
    assert call.remaining() == 3.0
    now[0] = 105.0
    assert call.remaining() == 0.0
    assert Call("/m", peer, principal).remaining() is None
