"""Client channels over mutual TLS."""

import grpc

from ostiary.wire.credentials import CredentialSource
from ostiary.wire.telemetry import client_interceptors

MIB = 1024 * 1024


def open_channel(
    address: str,
    credentials: CredentialSource,
    *,
    server_name: str | None = None,
    max_receive_bytes: int = 32 * MIB,
    max_send_bytes: int = 32 * MIB,
    keepalive: float = 30.0,
) -> grpc.aio.Channel:
    """A channel to `address` (`host:port`) that presents `credentials` as they are now.

    A channel cannot change its certificate: open a new one when `credentials.generation` changes.
    `server_name` is the DNS name that the server's certificate must carry; None: the address's host.
    `keepalive` is in seconds between pings of a connection with calls on it.
    Raises ValueError where the credentials are bad.
    """
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", max_receive_bytes),
        ("grpc.max_send_message_length", max_send_bytes),
        ("grpc.keepalive_time_ms", round(keepalive * 1000)),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 0),
        # The defaults, 1 s and growing to 2 min, would leave a server unseen long after it is back.
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # Channels that share a subchannel would share the certificate that was read first.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if server_name:
        options.append(("grpc.ssl_target_name_override", server_name))
    return grpc.aio.secure_channel(
        address, credentials.channel_credentials(), options=options, interceptors=client_interceptors()
    )
