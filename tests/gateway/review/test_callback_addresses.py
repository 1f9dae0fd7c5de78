"""Which callback addresses are taken: none that leads inside, however it is written."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.review.addresses import (
    AddressRules,
    CallbackGuard,
    RefusedAddressError,
    Target,
    parse_target,
)

RULES = AddressRules(refuse=(ip_network("198.41.0.0/16"),), allow=(ip_network("10.9.0.0/16"),))
PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    ("uri", "target"),
    [
        ("https://shop.example/appeals?id=1", Target("shop.example", 443, "/appeals?id=1")),
        ("https://shop.example", Target("shop.example", 443, "/")),
        ("HTTPS://Shop.Example:8443/x", Target("shop.example", 8443, "/x")),
        ("https://shop.example./x", Target("shop.example", 443, "/x")),
        (f"https://{PUBLIC}/", Target(PUBLIC, 443, "/")),
        ("https://[2606:4700::1]:444/", Target("2606:4700::1", 444, "/")),
    ],
)
def test_addresses_as_they_are_read(uri: str, target: Target) -> None:
    """Host, port and path."""
    assert parse_target(uri) == target


@pytest.mark.parametrize(
    "uri",
    [
        "http://shop.example/",
        "ftp://shop.example/",
        "//shop.example/",
        "https:///x",
        "https://",
        "shop.example",
        "https://user@shop.example/",
        "https://user:pass@shop.example/",
        "https://shop.example/#part",
        "https://shop.example:99999/",
        "https://shop.example:x/",
        "https://shop.example/a b",
        "https://shop.example/\r\nHost: other",
        "https://shop.example\\@127.0.0.1/",
        "https://商店.example/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://gateway/",
        "https://gateway.ostiary.svc/",
        "https://gateway.ostiary.svc.cluster.local/",
        "https://metadata.google.internal/",
        "https://2130706433/",
        "https://127.1/",
        "https://0x7f.0x1/",
        "https://shop.example.1/",
        "https://[::1/",
        "https://[v1.x]/",
    ],
)
def test_addresses_that_are_none(uri: str) -> None:
    """Other schemes, hidden hosts, names that only mean something inside, numbers written oddly."""
    with pytest.raises(RefusedAddressError):
        parse_target(uri)


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        (PUBLIC, True),
        ("2606:4700::1", True),
        ("10.9.1.1", True),
        ("::ffff:10.9.1.1", True),
        ("198.41.0.4", False),
        ("0.0.0.0", False),  # noqa: S104
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("239.1.1.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::a00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378::", False),
        ("fc00::1", False),
        ("fd12:3456::1", False),
        ("fe80::1", False),
        ("ff02::1", False),
        ("fec0::1", False),
    ],
)
def test_which_addresses_are_called(address: str, taken: bool) -> None:
    """Public ones; and of the others those that the operator names."""
    try:
        RULES.check(ip_address(address))
    except RefusedAddressError:
        assert not taken
    else:
        assert taken


@given(st.ip_addresses(v=4).map(lambda address: IPv4Address(int(address))))
def test_no_disguise_helps(address: IPv4Address) -> None:
    """An IPv4 address that is refused is refused in IPv6 clothes too."""
    plain = AddressRules()
    try:
        plain.check(address)
    except RefusedAddressError:
        with pytest.raises(RefusedAddressError):
            plain.check(ip_address(f"::ffff:{address}"))
    for prefix in (0x64_FF9B << 96, 0x2002 << 112):
        shift = 80 if prefix >> 112 == 0x2002 else 0
        with pytest.raises(RefusedAddressError):
            plain.check(ip_address(prefix | int(address) << shift))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([PUBLIC], ""),
        ([PUBLIC, "10.0.0.1"], "not a public address"),
        (["fe80::1%eth0"], "not a public address"),
        ([], "cannot be looked up"),
        (OSError("no such name"), "cannot be looked up"),
        (TimeoutError(), "cannot be looked up"),
    ],
    ids=str,
)
async def test_names_are_looked_up(found: object, words: str) -> None:
    """One address inside among several is enough to refuse; a name that is not there is told as such."""

    async def resolve(host: str, port: int) -> list[str]:
        assert (host, port) == ("shop.example", 443)
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, list)
        return found

    guard = CallbackGuard(AddressRules(), resolve)
    if not words:
        await guard.check("https://shop.example/")
        return
    with pytest.raises(OstiaryError, match=words) as caught:
        await guard.check("https://shop.example/")
    assert caught.value.reason is Reason.INVALID_FIELD
