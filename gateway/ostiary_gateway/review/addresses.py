"""Which callback addresses are taken: HTTPS on the public internet, and nothing inside. Pure but for names.

A name is looked up when it is given and again whenever it is called, and the call goes to the very address
that was looked at: a name that later leads inside leads nowhere.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from ostiary.wire.errors import invalid_field

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_INSIDE = ("localhost", "local", "internal", "svc", "intranet", "lan", "home.arpa")
# IPv6 that stands for IPv4, which may be one inside: RFC 6052, RFC 8215, 6to4, Teredo.
_TRANSLATED = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
_PUBLIC_IPV6 = IPv6Network("2000::/3")
_LOOKUP_SECONDS = 5.0


class RefusedAddressError(ValueError):
    """The address may not be called; the words say why."""


@dataclass(frozen=True)
class Target:
    """What a callback address says: host as it is looked up, port, and path with its query."""

    host: str
    port: int
    path: str


@dataclass(frozen=True)
class AddressRules:
    """Networks that are refused beside all that are not public, such as a cluster's; and exceptions."""

    refuse: tuple[Network, ...] = ()
    allow: tuple[Network, ...] = field(default=())

    def check(self, address: Address) -> None:
        """Raises RefusedAddressError."""
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
        if any(plain in network for network in self.allow):
            return
        inside = (
            not plain.is_global
            or plain.is_multicast
            or (isinstance(plain, IPv6Address) and plain not in _PUBLIC_IPV6)
            or any(plain in network for network in (*_TRANSLATED, *self.refuse))
        )
        if inside:
            raise RefusedAddressError(f"{address} is not a public address")


def parse_target(uri: str) -> Target:
    """Raises RefusedAddressError where it is not an HTTPS address of a host that may be public."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise RefusedAddressError("it is no address: write https://HOST/PATH") from error
    printable = uri.isascii() and uri.isprintable() and " " not in uri and "\\" not in uri
    if parts.scheme != "https" or not parts.hostname or not printable:
        raise RefusedAddressError("write https://HOST/PATH, in ASCII and without spaces")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise RefusedAddressError("leave out user, password and fragment")
    host = parts.hostname.rstrip(".")
    if not _is_address(host):
        _check_name(host)
        if "[" in parts.netloc:
            raise RefusedAddressError(f"[{host}] is no IPv6 address")
    query = f"?{parts.query}" if parts.query else ""
    return Target(host, 443 if port is None else port, (parts.path or "/") + query)


async def lookup(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as it stands: no search list is gone through. Raises OSError."""
    name = host if _is_address(host) else f"{host}."
    async with asyncio.timeout(_LOOKUP_SECONDS):
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


class CallbackGuard:
    """Says where a callback may go."""

    def __init__(self, rules: AddressRules, resolve: Resolve = lookup) -> None:
        self._rules = rules
        self._resolve = resolve

    async def addresses(self, target: Target) -> list[Address]:
        """The target's addresses, all of which may be called.

        Raises RefusedAddressError; OSError where its name cannot be looked up.
        """
        try:
            found = [
                ip_address(each.partition("%")[0]) for each in await self._resolve(target.host, target.port)
            ]
        except TimeoutError as error:
            raise OSError(f"{target.host} could not be looked up in time") from error
        if not found:
            raise OSError(f"{target.host} has no address")
        for address in found:
            self._rules.check(address)
        return found

    async def check(self, uri: str) -> None:
        """Raises OstiaryError (INVALID_FIELD) where the address may not be called."""
        try:
            await self.addresses(parse_target(uri))
        except RefusedAddressError as error:
            raise invalid_field("callback_uri", str(error)) from error
        except OSError as error:
            raise invalid_field("callback_uri", "its host cannot be looked up: check the name") from error


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _check_name(host: str) -> None:
    labels = host.lower().split(".")
    if len(labels) < 2 or any(host.lower() == each or host.lower().endswith(f".{each}") for each in _INSIDE):
        raise RefusedAddressError(f"{host} is not a public name")
    # Some resolvers take 0x7f.1 or 2130706433 for an address.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        raise RefusedAddressError(f"{host} is neither a name nor an address")
