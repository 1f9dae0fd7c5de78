"""How much a server takes on, in units."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class ServerLimits:
    """Limits of one listener."""

    max_receive_bytes: int = 5 * MIB
    """Largest message from a client."""
    max_send_bytes: int = 32 * MIB
    """Largest message to a client."""
    max_concurrent_rpcs: int = 1024
    """Calls in flight; more are answered RESOURCE_EXHAUSTED at once."""
    max_pending_rpcs: int = 256
    """Calls that the runtime keeps for a process that does not get to them. Beyond, some of them, and all
    beyond twice as many, are answered RESOURCE_EXHAUSTED by its own threads: a process that is short of
    processor time would find each call older than the one before.
    """
    max_connection_age: float = 300.0
    """Seconds after which a connection is asked to reconnect: the longest that a removed CA's peers stay."""
    max_connection_age_grace: float = 120.0
    """Seconds that calls on such a connection may still take: longer than the longest call."""
    keepalive: float = 30.0
    """Seconds between pings of a silent connection."""
    keepalive_timeout: float = 10.0
    """Seconds within which a ping must be answered."""
    deadline_margin: float = 0.05
    """Seconds kept back from the caller's deadline, so that an inner time-out can still be reported."""

    def options(self) -> list[tuple[str, int]]:
        """The limits as options of the gRPC runtime."""
        return [
            ("grpc.max_receive_message_length", self.max_receive_bytes),
            ("grpc.max_send_message_length", self.max_send_bytes),
            ("grpc.server.max_pending_requests", self.max_pending_rpcs),
            ("grpc.server.max_pending_requests_hard_limit", 2 * self.max_pending_rpcs),
            ("grpc.max_connection_age_ms", round(self.max_connection_age * 1000)),
            ("grpc.max_connection_age_grace_ms", round(self.max_connection_age_grace * 1000)),
            ("grpc.keepalive_time_ms", round(self.keepalive * 1000)),
            ("grpc.keepalive_timeout_ms", round(self.keepalive_timeout * 1000)),
            # Clients may ping as often as this project's own do, also while they wait for a verdict.
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            # A second process on the port would take handshakes and stall them.
            ("grpc.so_reuseport", 0),
            # Without these two, uploads that wait their turn are buffered by the megabyte.
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", 65_536),
        ]
