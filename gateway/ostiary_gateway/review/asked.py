"""What a search asks for, checked. Pure."""

import re
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from ostiary.v1.audit_pb2 import CaseState, SearchCasesRequest
from ostiary.v1.decision_pb2 import Verdict
from ostiary.wire.errors import OstiaryError, invalid_field
from ostiary_gateway.review.cases import Place, Search
from ostiary_gateway.review.summary import folded

_DEFAULT_PAGE, _MOST_PAGE = 50, 200
_MOST_VALUES, _MOST_CHARACTERS = 100, 500
_DIGEST_BYTES = 32
_TOKEN = re.compile("([0-9]{1,18})-([0-9]{1,18})")
_LABEL = re.compile("[^/]+/[^/]+")


def asked(request: SearchCasesRequest, tenant: str, now_us: int = 0) -> Search:
    """The search of a request made at `now_us` (since 1970). Raises OstiaryError (INVALID_FIELD)."""
    _check_lists(request)
    since, until = _time(request, "since"), _time(request, "until")
    if since is not None and until is not None and until <= since:
        raise invalid_field("until", "name a time after since")
    if not 0 <= request.min_score <= 1:
        raise invalid_field("min_score", "send a number from 0 to 1")
    if not 0 <= request.page_size <= _MOST_PAGE:
        raise invalid_field("page_size", f"send 1 to {_MOST_PAGE}, or 0 for {_DEFAULT_PAGE}")
    if len(request.text) > _MOST_CHARACTERS:
        raise invalid_field("text", f"send at most {_MOST_CHARACTERS} characters")
    return Search(
        tenant=tenant,
        verdicts=tuple(request.verdicts),
        sellers=tuple(request.sellers),
        policies=tuple(request.policies),
        bundle_digests=tuple(request.bundle_digests),
        labels=tuple(request.labels),
        brands=tuple(request.brands),
        states=tuple(request.states),
        words=tuple(folded(request.text).split()),
        since_us=since,
        until_us=until,
        min_score=request.min_score,
        now_us=now_us,
        behind=place(request.page_token) if request.page_token else None,
        most=request.page_size or _DEFAULT_PAGE,
    )


def token(place: Place | None) -> str:
    """The cursor of the page behind a place; empty: there is none."""
    return f"{place.decided_us}-{place.log_index}" if place else ""


def place(token: str) -> Place:
    """The place that a cursor stands for. Raises OstiaryError (INVALID_FIELD)."""
    match = _TOKEN.fullmatch(token)
    if not match:
        raise invalid_field("page_token", "send next_page_token of the answer before, or leave it empty")
    return Place(int(match[1]), int(match[2]))


def _check_lists(request: SearchCasesRequest) -> None:
    for name in ("verdicts", "labels", "sellers", "brands", "bundle_digests", "policies", "states"):
        if len(getattr(request, name)) > _MOST_VALUES:
            raise invalid_field(name, f"name at most {_MOST_VALUES}")
    _check_numbers("verdicts", request.verdicts, Verdict.values())
    _check_numbers("states", request.states, CaseState.values())
    for index, label in enumerate(request.labels):
        if not _LABEL.fullmatch(label):
            raise invalid_field(f"labels[{index}]", "write it as policy/label")
    for index, digest in enumerate(request.bundle_digests):
        if len(digest) != _DIGEST_BYTES:
            raise invalid_field(f"bundle_digests[{index}]", f"send {_DIGEST_BYTES} bytes, not {len(digest)}")


def _check_numbers(name: str, given: Sequence[int], known: Sequence[int]) -> None:
    for index, number in enumerate(given):
        if number == 0 or number not in known:
            raise invalid_field(f"{name}[{index}]", f"{number} stands for nothing that is ever sent")


def _time(request: SearchCasesRequest, name: str) -> int | None:
    if not request.HasField(name):  # type: ignore[arg-type]  # "since" or "until"
        return None
    time: Timestamp = getattr(request, name)
    try:
        time.ToDatetime()
    except ValueError as error:
        raise _no_time(name) from error
    return time.ToMicroseconds()


def _no_time(name: str) -> OstiaryError:
    return invalid_field(name, "send a time between the years 1 and 9999")
