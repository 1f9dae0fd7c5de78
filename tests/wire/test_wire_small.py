"""The small parts: deny-list, deadlines, allowed IDs, calls, addresses."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ostiary.wire.authorization import AllowedIds, Principal
from ostiary.wire.call import Call
from ostiary.wire.deadline import trim
from ostiary.wire.deny_list import parse_deny_list, parse_serial
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import Peer, SpiffeId
from ostiary.wire.listen import bind

ID, OTHER = SpiffeId("td", "/a"), SpiffeId("td", "/b")


def peer(spiffe_id: SpiffeId) -> Peer:
    return Peer(spiffe_id, 1, datetime.now(UTC), "00")


@given(st.lists(st.integers(0, 2**159), max_size=20))
def test_deny_list_holds_what_was_written(serials: list[int]) -> None:
    """Serials in hex, in either case, with comments and blank lines between, are all read."""
    lines = [f"  {serial:x}\t# why\n\n" if serial % 2 else f"{serial:X}\r\n" for serial in serials]
    assert parse_deny_list(("# list\n" + "".join(lines)).encode()) == frozenset(serials)


@pytest.mark.parametrize("entry", ["0x12", "-12", "+12", "1_2", "12 34", "g", "１２", ":"])
def test_deny_list_refuses_the_rest(entry: str) -> None:
    """A line that is not plain hex spoils the list, by name: half a list is no list."""
    with pytest.raises(ValueError, match="line 2"):
        parse_deny_list(f"ab\n{entry}\n".encode())


def test_deny_list_must_be_text() -> None:
    """Bytes that are no UTF-8 are refused in words."""
    with pytest.raises(ValueError, match="UTF-8"):
        parse_deny_list(b"\xff\xfe")


def test_serial_with_colons() -> None:
    """The form that openssl prints is read as well."""
    assert parse_serial("0A:bc") == 0x0ABC


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
    call = Call("/m", peer(ID), Principal(ID, "r", ""), deadline=103.0, clock=lambda: now[0])
    assert call.remaining() == 3.0
    now[0] = 105.0
    assert call.remaining() == 0.0
    assert Call("/m", peer(ID), Principal(ID, "r", "")).remaining() is None


def test_allowed_ids() -> None:
    """Exact IDs may call exact methods; all else is denied."""
    authorizer = AllowedIds("gateway", {ID}, {"/s/M"})
    assert authorizer.authorize(peer(ID), "/s/M") == Principal(ID, "gateway", "")
    assert [authorizer.covers(method) for method in ("/s/M", "/s/N")] == [True, False]
    for spiffe_id, method in ((OTHER, "/s/M"), (ID, "/s/N"), (SpiffeId("td2", "/a"), "/s/M")):
        with pytest.raises(OstiaryError) as caught:
            authorizer.authorize(peer(spiffe_id), method)
        assert caught.value.reason is Reason.PERMISSION_DENIED


@pytest.mark.parametrize("address", ["", "host", ":8443", "host:", "host:x", "host:-1", "host:65536", "h:１"])
def test_address_must_be_host_and_port(address: str) -> None:
    """What is no HOST:PORT is refused by name before anything is bound."""
    with pytest.raises(ValueError, match="must be HOST:PORT"):
        bind(address, "address", lambda _: pytest.fail("bound"))


def test_bound_port_is_reported() -> None:
    """Port 0 comes back as the real one."""
    assert bind("[::1]:0", "address", lambda _: 4321) == "[::1]:4321"
