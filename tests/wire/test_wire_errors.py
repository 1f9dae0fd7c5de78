"""The error set: every reason has a status, and an error survives the wire; foreign errors get words."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from ostiary.wire.errors import (
    DOMAIN,
    STATUS,
    STATUS_DETAILS_KEY,
    FieldViolation,
    OstiaryError,
    Reason,
    from_rpc_error,
    from_status,
    invalid_field,
    missing_field,
    to_status,
)

TEXT = st.text(max_size=200)


def rpc_error(code: grpc.StatusCode, details: str = "", trailer: bytes | None = None) -> grpc.aio.AioRpcError:
    trailers = grpc.aio.Metadata() if trailer is None else grpc.aio.Metadata((STATUS_DETAILS_KEY, trailer))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_status(reason: Reason) -> None:
    """The one table knows every reason, and none of them is OK."""
    assert STATUS[reason] is not grpc.StatusCode.OK
    assert OstiaryError(reason, "x").code is STATUS[reason]


@given(
    reason=st.sampled_from(Reason),
    message=TEXT,
    violations=st.lists(st.builds(FieldViolation, TEXT, TEXT), max_size=3),
    retry_after=st.none() | st.floats(0, 1e6),
    metadata=st.dictionaries(st.text(max_size=10), st.text(max_size=50), max_size=3),
)
def test_survives_the_wire(
    reason: Reason,
    message: str,
    violations: list[FieldViolation],
    retry_after: float | None,
    metadata: dict[str, str],
) -> None:
    """What to_status writes, from_rpc_error reads back, to the nanosecond."""
    sent = OstiaryError(reason, message, violations=violations, retry_after=retry_after, metadata=metadata)
    got = from_rpc_error(rpc_error(sent.code, message, to_status(sent).SerializeToString()))
    assert (got.reason, got.message, list(got.violations)) == (reason, message, violations)
    assert got.metadata == metadata
    assert got.retry_after == (None if retry_after is None else pytest.approx(retry_after, abs=1e-8))


@given(violations=st.lists(st.builds(FieldViolation, TEXT, st.text(max_size=2000)), max_size=40))
def test_fits_into_trailers(violations: list[FieldViolation]) -> None:
    """However many fields are wrong, the status stays below what HTTP/2 peers accept in trailers."""
    error = OstiaryError(Reason.INVALID_FIELD, "批" * 5000, violations=violations)
    assert to_status(error).ByteSize() <= 3072
    assert len(to_status(error).message.encode()) <= 1000


def test_field_helpers() -> None:
    """missing_field and invalid_field name the field in the message and as a violation."""
    missing, invalid = missing_field("listing.title", "give one"), invalid_field("images", "at most 8")
    assert (missing.reason, missing.message) == (Reason.MISSING_FIELD, "listing.title is missing: give one")
    assert (invalid.reason, invalid.violations) == (
        Reason.INVALID_FIELD,
        (FieldViolation("images", "at most 8"),),
    )


def test_unknown_reason_falls_back_to_the_status() -> None:
    """A reason that a newer server invents, or of another domain, is read by its status code."""
    for info in (
        error_details_pb2.ErrorInfo(reason="NEW_ONE", domain=DOMAIN),
        error_details_pb2.ErrorInfo(reason="NOT_FOUND", domain="example.com"),
    ):
        status = status_pb2.Status(message="hm")
        status.details.add().Pack(info)
        assert from_status(status) is None
        error = from_rpc_error(
            rpc_error(grpc.StatusCode.FAILED_PRECONDITION, "hm", status.SerializeToString())
        )
        assert (error.reason, error.message) == (Reason.FAILED_PRECONDITION, "hm")


def test_garbled_details() -> None:
    """A details trailer that is no Status does not hide the status itself."""
    assert from_rpc_error(rpc_error(grpc.StatusCode.NOT_FOUND, "x", b"\xff")).reason is Reason.NOT_FOUND


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_bare_status(code: grpc.StatusCode) -> None:
    """Any status without details becomes an error of the closed set, with a message."""
    error = from_rpc_error(rpc_error(code))
    assert error.message
    same = error.code is code
    assert same or code.name in {"UNKNOWN", "OUT_OF_RANGE", "ABORTED", "DATA_LOSS"}


def test_error_without_a_status() -> None:
    """An RpcError that carries no status at all is INTERNAL."""
    assert from_rpc_error(grpc.RpcError("odd")).reason is Reason.INTERNAL


# Detail strings as the runtime, grpcio 1.85.1, words them.
CONNECT = "failed to connect to all addresses; last error: "
RUNTIME: dict[str, tuple[grpc.StatusCode, str, Reason, str]] = {
    "client certificate refused": (
        grpc.StatusCode.UNAVAILABLE,
        CONNECT + "UNAVAILABLE: ipv4:127.0.0.1:8443: Socket closed",
        Reason.CLIENT_CERTIFICATE,
        "check that cert and key",
    ),
    "client certificate refused, reset": (
        grpc.StatusCode.UNAVAILABLE,
        CONNECT + "UNKNOWN: ipv4:127.0.0.1:8443: recvmsg:Connection reset by peer",
        Reason.CLIENT_CERTIFICATE,
        "check that cert and key",
    ),
    "server of a foreign root": (
        grpc.StatusCode.UNAVAILABLE,
        CONNECT + "UNKNOWN: ipv4:127.0.0.1:8443: Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: "
        "error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: unable to get local issuer "
        "certificate: OK",
        Reason.SERVER_CERTIFICATE,
        "check that the ca file",
    ),
    "server of a foreign root of the same name": (
        grpc.StatusCode.UNAVAILABLE,
        CONNECT + "UNKNOWN: ipv4:127.0.0.1:8443: Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: "
        "error:1a000064:ECDSA routines:OPENSSL_internal:BAD_SIGNATURE: certificate signature failure: OK",
        Reason.SERVER_CERTIFICATE,
        "check that the ca file",
    ),
    "server of another name": (
        grpc.StatusCode.UNAVAILABLE,
        CONNECT + "UNKNOWN: ipv4:127.0.0.1:8443: Custom verification check failed with error: "
        "UNAUTHENTICATED: Hostname Verification Check failed.",
        Reason.SERVER_CERTIFICATE,
        "check server_name",
    ),
    "nobody listens": (
        grpc.StatusCode.UNAVAILABLE,
        CONNECT + "UNKNOWN: ipv4:127.0.0.1:1: Failed to connect to remote host: Connection refused",
        Reason.UNAVAILABLE,
        "Connection refused",
    ),
    "connection lost during a call": (
        grpc.StatusCode.UNAVAILABLE,
        "Socket closed",
        Reason.UNAVAILABLE,
        "Socket closed",
    ),
    "request too large": (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "SERVER: Received message larger than max (2000 vs. 1000)",
        Reason.TOO_LARGE,
        "CheckStream",
    ),
    "own limit on sending": (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "CLIENT: Sent message larger than max (900 vs. 500)",
        Reason.TOO_LARGE,
        "CheckStream",
    ),
    "answer too large": (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "Stream removed (CLIENT: Received message larger than max (900 vs. 500))",
        Reason.TOO_LARGE,
        "max_receive_bytes",
    ),
    "server full": (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "Concurrent RPC limit exceeded!",
        Reason.OVERLOADED,
        "Concurrent RPC limit",
    ),
}


@pytest.mark.parametrize(("code", "details", "reason", "words"), RUNTIME.values(), ids=RUNTIME.keys())
def test_words_for_the_runtime(code: grpc.StatusCode, details: str, reason: Reason, words: str) -> None:
    """What the runtime reports by itself is told in words, with its own text kept for support."""
    error = from_rpc_error(rpc_error(code, details))
    assert error.reason is reason
    assert words in error.message
    assert details in error.message
