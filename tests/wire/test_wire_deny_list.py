"""The deny-list: what is read, and that half a list is no list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.wire.deny_list import parse_deny_list, parse_serial


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
