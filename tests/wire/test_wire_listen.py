"""Addresses: refused by name, reported with their real port."""

import pytest

from ostiary.wire.listen import bind


@pytest.mark.parametrize("address", ["", "host", ":8443", "host:", "host:x", "host:-1", "host:65536", "h:１"])
def test_address_must_be_host_and_port(address: str) -> None:
    """What is no HOST:PORT is refused by name before anything is bound."""
    with pytest.raises(ValueError, match="must be HOST:PORT"):
        bind(address, "address", lambda _: pytest.fail("bound"))


def test_bound_port_is_reported() -> None:
    """Port 0 comes back as the real one."""
    assert bind("[::1]:0", "address", lambda _: 4321) == "[::1]:4321"
