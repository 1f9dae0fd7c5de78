"""What reviewers and sellers ask for, checked. Pure."""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from ostiary.v1.audit_pb2 import (
    RULING_ESCALATE,
    RULING_OVERTURN,
    RULING_UPHOLD,
    AddCommentRequest,
    ClaimCaseRequest,
    DecideCasesRequest,
    OpenAppealRequest,
    SetLegalHoldRequest,
)
from ostiary.wire.errors import OstiaryError, invalid_field, missing_field

_RULINGS = (RULING_UPHOLD, RULING_OVERTURN, RULING_ESCALATE)
_LEASE, _SHORTEST_LEASE, _LONGEST_LEASE = timedelta(minutes=15), timedelta(minutes=1), timedelta(minutes=120)
_ALLOW, _SHORTEST_ALLOW, _LONGEST_ALLOW = timedelta(days=90), timedelta(minutes=1), timedelta(days=3650)
MOST_CASES = 200
_MOST_REASON, _MOST_HOLD_REASON, _MOST_TEXT, _MOST_URI = 2_000, 500, 4_000, 2_000


def lease(request: ClaimCaseRequest) -> timedelta:
    """For how long a case is claimed. Raises OstiaryError (INVALID_FIELD)."""
    if not request.HasField("lease"):
        return _LEASE
    return _between("lease", request.lease, _SHORTEST_LEASE, _LONGEST_LEASE, "1 to 120 minutes")


def allow_for(request: DecideCasesRequest) -> timedelta:
    """For how long an overturn allows the seller's images. Raises OstiaryError (INVALID_FIELD)."""
    if not request.HasField("allow_for"):
        return _ALLOW
    if request.ruling != RULING_OVERTURN:
        raise invalid_field("allow_for", "leave it out: only an overturn allows anything")
    return _between("allow_for", request.allow_for, _SHORTEST_ALLOW, _LONGEST_ALLOW, "1 minute to 3,650 days")


def check_decide(request: DecideCasesRequest) -> None:
    """Raises OstiaryError (MISSING_FIELD, INVALID_FIELD)."""
    if not request.check_ids:
        raise missing_field("check_ids", f"name 1 to {MOST_CASES} checks")
    if len(request.check_ids) > MOST_CASES:
        raise invalid_field("check_ids", f"name at most {MOST_CASES} checks at once")
    if len(set(request.check_ids)) < len(request.check_ids):
        raise invalid_field("check_ids", "name each check once")
    if request.ruling not in _RULINGS:
        raise missing_field("ruling", "say uphold, overturn or escalate")
    check_text("internal_reason", request.internal_reason, _MOST_REASON, "say why, for compliance teams")
    if len(request.seller_reason) > _MOST_REASON:
        raise invalid_field("seller_reason", f"send at most {_MOST_REASON:,} characters")


def check_comment(request: AddCommentRequest) -> None:
    """Raises OstiaryError (MISSING_FIELD, INVALID_FIELD)."""
    check_id_named(request.check_id)
    check_text("text", request.text, _MOST_TEXT, "write the comment")


def check_hold(request: SetLegalHoldRequest) -> None:
    """Raises OstiaryError (MISSING_FIELD, INVALID_FIELD)."""
    check_id_named(request.check_id)
    check_text("reason", request.reason, _MOST_HOLD_REASON, "say why")


def check_appeal(request: OpenAppealRequest) -> None:
    """Raises OstiaryError (MISSING_FIELD, INVALID_FIELD)."""
    check_id_named(request.check_id)
    check_text("statement", request.statement, _MOST_TEXT, "say what the seller says")
    if len(request.callback_uri) > _MOST_URI:
        raise invalid_field("callback_uri", f"send at most {_MOST_URI:,} characters")


def check_id_named(check_id: str) -> None:
    """Raises OstiaryError (MISSING_FIELD)."""
    if not check_id:
        raise missing_field("check_id", "name the check")


def check_text(field: str, text: str, most: int, what_to_do: str) -> None:
    """A text that has to be there. Raises OstiaryError (MISSING_FIELD, INVALID_FIELD)."""
    if not text.strip():
        raise missing_field(field, what_to_do)
    if len(text) > most:
        raise invalid_field(field, f"send at most {most:,} characters")


def _between(field: str, given: Duration, shortest: timedelta, longest: timedelta, words: str) -> timedelta:
    try:
        asked = given.ToTimedelta()
    except (ValueError, OverflowError) as error:
        raise _out_of_range(field, words) from error
    if not shortest <= asked <= longest:
        raise _out_of_range(field, words)
    return asked


def _out_of_range(field: str, words: str) -> OstiaryError:
    return invalid_field(field, f"send {words}")
