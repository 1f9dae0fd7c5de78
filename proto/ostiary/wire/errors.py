"""The closed set of errors that crosses the wire, and its mapping to gRPC statuses in both directions.

Servers raise `OstiaryError`; the wire sends it as a `google.rpc.Status` with ErrorInfo, BadRequest and
RetryInfo. Clients turn any `grpc.RpcError` back into an `OstiaryError` with `from_rpc_error`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "ostiary.dev"
STATUS_DETAILS_KEY = "grpc-status-details-bin"

# HTTP/2 peers refuse trailers above 8 KiB, and percent-encoding triples a character of Chinese text.
_MAX_MESSAGE_CHARACTERS = 300
_MAX_STATUS_BYTES = 3072


class Reason(StrEnum):
    """Why a call failed. The value travels as ErrorInfo.reason in the domain `ostiary.dev`."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    INVALID_FIELD = "INVALID_FIELD"
    MISSING_FIELD = "MISSING_FIELD"
    TOO_LARGE = "TOO_LARGE"
    DEADLINE_EXPIRED = "DEADLINE_EXPIRED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RATE_LIMITED = "RATE_LIMITED"
    OVERLOADED = "OVERLOADED"
    QUOTA_EXHAUSTED = "QUOTA_EXHAUSTED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    POD_UNAVAILABLE = "POD_UNAVAILABLE"
    UNAVAILABLE = "UNAVAILABLE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"
    # Seen by clients alone: the TLS handshake failed, so no status came from the server.
    SERVER_CERTIFICATE = "SERVER_CERTIFICATE"
    CLIENT_CERTIFICATE = "CLIENT_CERTIFICATE"


STATUS: Mapping[Reason, grpc.StatusCode] = MappingProxyType(
    {
        Reason.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
        Reason.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
        Reason.INVALID_FIELD: grpc.StatusCode.INVALID_ARGUMENT,
        Reason.MISSING_FIELD: grpc.StatusCode.INVALID_ARGUMENT,
        # Not RESOURCE_EXHAUSTED, which invites a retry of what can never fit.
        Reason.TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
        Reason.DEADLINE_EXPIRED: grpc.StatusCode.DEADLINE_EXCEEDED,
        Reason.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
        Reason.ALREADY_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
        Reason.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
        Reason.RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
        Reason.OVERLOADED: grpc.StatusCode.RESOURCE_EXHAUSTED,
        Reason.QUOTA_EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
        Reason.STORE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
        Reason.POD_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
        Reason.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
        Reason.UNIMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
        Reason.CANCELLED: grpc.StatusCode.CANCELLED,
        Reason.INTERNAL: grpc.StatusCode.INTERNAL,
        Reason.SERVER_CERTIFICATE: grpc.StatusCode.UNAUTHENTICATED,
        Reason.CLIENT_CERTIFICATE: grpc.StatusCode.UNAUTHENTICATED,
    }
)

# What a status means when the peer sent no ErrorInfo of ours.
_REASON_OF_CODE: Mapping[grpc.StatusCode, Reason] = MappingProxyType(
    {
        grpc.StatusCode.CANCELLED: Reason.CANCELLED,
        grpc.StatusCode.INVALID_ARGUMENT: Reason.INVALID_FIELD,
        grpc.StatusCode.OUT_OF_RANGE: Reason.INVALID_FIELD,
        grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXPIRED,
        grpc.StatusCode.NOT_FOUND: Reason.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS: Reason.ALREADY_EXISTS,
        grpc.StatusCode.PERMISSION_DENIED: Reason.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
        grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.OVERLOADED,
        grpc.StatusCode.FAILED_PRECONDITION: Reason.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED: Reason.UNIMPLEMENTED,
        grpc.StatusCode.ABORTED: Reason.UNAVAILABLE,
        grpc.StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    }
)


_KNOWN_REASONS = frozenset(reason.value for reason in Reason)


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that is wrong, and what to do about it."""

    field: str
    description: str


class OstiaryError(Exception):
    """An error that crosses the wire.

    `retry_after` is in seconds; None says nothing about retries. `metadata` goes into ErrorInfo.metadata.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
        metadata: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.metadata = dict(metadata)

    @property
    def code(self) -> grpc.StatusCode:
        """The gRPC status code of the reason."""
        return STATUS[self.reason]

    def __repr__(self) -> str:
        return f"OstiaryError({self.reason.value}, {self.message!r})"


def missing_field(field: str, what_to_do: str) -> OstiaryError:
    """An error for a required `field` that is absent."""
    violation = FieldViolation(field, what_to_do)
    return OstiaryError(Reason.MISSING_FIELD, f"{field} is missing: {what_to_do}", violations=[violation])


def invalid_field(field: str, what_to_do: str) -> OstiaryError:
    """An error for a `field` whose value is wrong."""
    violation = FieldViolation(field, what_to_do)
    return OstiaryError(Reason.INVALID_FIELD, f"{field} is invalid: {what_to_do}", violations=[violation])


def to_status(error: OstiaryError) -> status_pb2.Status:
    """The error as a google.rpc.Status of at most 3 KiB, so that it fits into HTTP/2 trailers.

    Violations that do not fit are left out from the end; the message is cut at 300 characters.
    """
    violations = list(error.violations)
    while True:
        status = _status(error, violations)
        if not violations or status.ByteSize() <= _MAX_STATUS_BYTES:
            return status
        violations.pop()


def _status(error: OstiaryError, violations: Sequence[FieldViolation]) -> status_pb2.Status:
    code, _ = error.code.value
    status = status_pb2.Status(code=code, message=_cut(error.message))
    info = error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN)
    info.metadata.update({key: _cut(value) for key, value in error.metadata.items()})
    status.details.add().Pack(info)
    if violations:
        bad = error_details_pb2.BadRequest()
        for violation in violations:
            bad.field_violations.add(field=violation.field, description=_cut(violation.description))
        status.details.add().Pack(bad)
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(max(0, round(error.retry_after * 1e9)))
        status.details.add().Pack(retry)
    return status


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_MESSAGE_CHARACTERS else text[: _MAX_MESSAGE_CHARACTERS - 1] + "…"


def from_status(status: status_pb2.Status) -> OstiaryError | None:
    """The error that `to_status` encoded; None where the status carries no reason of this project."""
    reason: Reason | None = None
    metadata: dict[str, str] = {}
    violations: list[FieldViolation] = []
    retry_after: float | None = None
    for detail in status.details:
        info, bad, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        if detail.Unpack(info):
            # A newer server may know more reasons than this client: then the status code speaks.
            if info.domain == DOMAIN and info.reason in _KNOWN_REASONS:
                reason, metadata = Reason(info.reason), dict(info.metadata)
        elif detail.Unpack(bad):
            violations = [FieldViolation(v.field, v.description) for v in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    if reason is None:
        return None
    return OstiaryError(
        reason, status.message, violations=violations, retry_after=retry_after, metadata=metadata
    )


def from_rpc_error(error: grpc.RpcError) -> OstiaryError:
    """Turns any RpcError of a client call into an OstiaryError.

    Failed TLS handshakes become SERVER_CERTIFICATE or CLIENT_CERTIFICATE with words on what to check, and
    the runtime's own size limit becomes TOO_LARGE.
    """
    if not isinstance(error, grpc.Call | grpc.aio.AioRpcError):
        return OstiaryError(Reason.INTERNAL, f"The call failed without a status: {error}")
    details = error.details() or ""
    return _from_trailers(error) or _from_runtime(error.code(), details)


def _from_trailers(error: grpc.Call | grpc.aio.AioRpcError) -> OstiaryError | None:
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS_KEY and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                return None
    return None


def _from_runtime(code: grpc.StatusCode, details: str) -> OstiaryError:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "message larger than max" in details:
        return _too_large(details)
    if code is grpc.StatusCode.UNAVAILABLE:
        handshake = _handshake_failure(details)
        if handshake is not None:
            return handshake
    reason = _REASON_OF_CODE.get(code, Reason.INTERNAL)
    return OstiaryError(reason, details or code.name)


def _too_large(details: str) -> OstiaryError:
    if "Received message larger" in details and "CLIENT:" in details:
        words = "The answer is larger than this client accepts: raise its max_receive_bytes"
    else:
        words = "The request is larger than one message may be: use CheckStream, or send less at once"
    return OstiaryError(Reason.TOO_LARGE, f"{words} ({details})")


def _handshake_failure(details: str) -> OstiaryError | None:
    if "Hostname Verification Check failed" in details:
        return _unauthenticated(
            Reason.SERVER_CERTIFICATE,
            "the server's certificate does not carry the name that was asked for: check server_name and the "
            "certificate's DNS names",
            details,
        )
    # An authority of the right name with another key ends in BAD_SIGNATURE.
    if "CERTIFICATE_VERIFY_FAILED" in details or "BAD_SIGNATURE" in details:
        return _unauthenticated(
            Reason.SERVER_CERTIFICATE,
            "the server's certificate is not trusted: check that the ca file holds the authority that issued "
            "it, and that it has not expired",
            details,
        )
    if "handshake failed" in details:
        return _unauthenticated(
            Reason.SERVER_CERTIFICATE,
            "the TLS handshake failed: check that the address is an Ostiary endpoint with TLS",
            details,
        )
    # TLS 1.3 tells the client that it is finished before the server has looked at the client's certificate:
    # a refusal shows only as a connection that closes before its first HTTP/2 frame.
    if "failed to connect to all addresses" in details and _closed(details):
        return _unauthenticated(
            Reason.CLIENT_CERTIFICATE,
            "the server closed the connection during the handshake. Most likely it refused this client's "
            "certificate: check that cert and key are set, that the certificate has not expired, and that "
            "the server trusts its issuer",
            details,
        )
    return None


def _unauthenticated(reason: Reason, words: str, details: str) -> OstiaryError:
    return OstiaryError(reason, f"Authentication failed: {words} ({details})")


def _closed(details: str) -> bool:
    return any(text in details for text in ("Socket closed", "Connection reset", "Broken pipe"))
