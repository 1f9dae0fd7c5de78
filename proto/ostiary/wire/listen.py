"""Binding a listener, with errors that name the address."""

from collections.abc import Callable


def bind(address: str, what: str, add_port: Callable[[str], int]) -> str:
    """Binds `host:port` and returns it with the real port where 0 was asked.

    Raises ValueError, naming `what` and the address, where it is not `host:port` or cannot be bound.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal() and int(port) < 65_536):
        raise ValueError(f"{what} {address!r} must be HOST:PORT, for example 127.0.0.1:8443")
    try:
        bound = add_port(address)
    except RuntimeError as error:
        raise ValueError(
            f"{what} {address} cannot be bound: another process may be listening there, or the host is not "
            "this machine's"
        ) from error
    return f"{host}:{bound}"
