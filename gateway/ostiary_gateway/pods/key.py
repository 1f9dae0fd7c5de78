"""What tells pods apart."""

from ostiary.v1.config_pb2 import Endpoint

Key = tuple[str, str]
"""A pod's address, and the name in its certificate."""


def key_of(endpoint: Endpoint) -> Key:
    """The key of the pod behind an endpoint."""
    return endpoint.address, endpoint.server_name
