"""Mutual TLS as plain gRPC has it, from a folder of ca.pem, cert.pem and key.pem. Imports grpc alone: peers
use it in environments of their own.
"""

from __future__ import annotations

from pathlib import Path

import grpc


def server_tls(folder: Path) -> grpc.ServerCredentials:
    """A server that demands client certificates."""
    ca, cert, key = _files(folder)
    return grpc.ssl_server_credentials([(key, cert)], root_certificates=ca, require_client_auth=True)


def channel_tls(folder: Path) -> grpc.ChannelCredentials:
    """A client that shows a certificate."""
    ca, cert, key = _files(folder)
    return grpc.ssl_channel_credentials(ca, key, cert)


def channel(address: str, folder: Path, *, messages: int = 64 << 20) -> grpc.aio.Channel:
    """A channel with a connection of its own to a server whose certificate names localhost."""
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", messages),
        ("grpc.max_send_message_length", messages),
        ("grpc.ssl_target_name_override", "localhost"),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    return grpc.aio.secure_channel(address, channel_tls(folder), options=options)


def _files(folder: Path) -> list[bytes]:
    return [(folder / f"{name}.pem").read_bytes() for name in ("ca", "cert", "key")]
