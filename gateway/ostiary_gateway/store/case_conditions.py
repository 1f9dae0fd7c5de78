"""What a search asks of cases, as conditions on their columns."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, literal, or_, select
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from ostiary.v1.audit_pb2 import CASE_STATE_CLAIMED, CASE_STATE_DECIDED
from ostiary_gateway.review.cases import Place, Search
from ostiary_gateway.store.case_rows import BRAND, LABEL
from ostiary_gateway.store.schema import case_terms

Columns = ReadOnlyColumnCollection[str, Any]
"""Those of `cases`, or of what was selected from it."""

_T = case_terms.c


def by_columns(search: Search, of: Columns) -> list[ColumnElement[bool]]:
    """All that is asked of the columns but for the text."""
    chosen: tuple[tuple[ColumnElement[Any], Sequence[Any]], ...] = (
        (of.verdict, search.verdicts),
        (of.seller, search.sellers),
        (of.policy, search.policies),
        (of.bundle_digest, search.bundle_digests),
    )
    conditions: list[ColumnElement[bool]] = [of.tenant == search.tenant]
    conditions += [column.in_(values) for column, values in chosen if values]
    if search.states:
        conditions += _in_states(search.states, search.now_us, of)
    if search.since_us is not None:
        conditions.append(of.decided_us >= search.since_us)
    if search.until_us is not None:
        conditions.append(of.decided_us < search.until_us)
    if search.min_score > 0:
        conditions.append(of.score >= search.min_score)
    if search.behind is not None:
        conditions.append(_behind(search.behind, of))
    return conditions


def by_words(search: Search, of: Columns) -> list[ColumnElement[bool]]:
    """What is asked of the text."""
    return [of.text.contains(word, autoescape=True) for word in search.words]


def among_terms(search: Search, of: Columns) -> list[ColumnElement[bool]]:
    """What is asked of labels and brands, for a database that finds out from which end to begin."""
    return [
        of.log_index.in_(select(_T.log_index).where(_T.kind == kind, _T.value.in_(values)))
        for kind, values in kinds(search)
    ]


def has_terms(search: Search, of: Columns) -> list[ColumnElement[bool]]:
    """The same, looked up for each case."""
    return [
        exists().where(_T.kind == kind, _T.value.in_(values), _T.log_index == of.log_index)
        for kind, values in kinds(search)
    ]


def kinds(search: Search) -> list[tuple[str, Sequence[str]]]:
    """The kinds of terms that are asked for, each with its values."""
    return [(kind, values) for kind, values in ((LABEL, search.labels), (BRAND, search.brands)) if values]


def undecided(of: Columns) -> ColumnElement[bool]:
    """In the very words of the index of those that wait: a value that is bound would not do."""
    state: ColumnElement[int] = of.state
    return state != literal(CASE_STATE_DECIDED, literal_execute=True)


def claimed(of: Columns, now_us: int) -> ColumnElement[bool]:
    """Likewise."""
    return and_(of.lease_until_us > literal(0, literal_execute=True), of.lease_until_us > now_us)


def _in_states(states: Sequence[int], now_us: int, of: Columns) -> list[ColumnElement[bool]]:
    """A case that somebody holds is CLAIMED and nothing else, until the lease ends."""
    others = and_(
        of.state.in_([state for state in states if state != CASE_STATE_CLAIMED]), of.lease_until_us <= now_us
    )
    if CASE_STATE_CLAIMED in states:
        # What is decided may be claimed too, by who leads.
        return [or_(others, claimed(of, now_us))]
    return [others] if CASE_STATE_DECIDED in states else [others, undecided(of)]


def _behind(place: Place, of: Columns) -> ColumnElement[bool]:
    # The first half is what an index can be entered with.
    return and_(
        of.decided_us <= place.decided_us,
        or_(of.decided_us < place.decided_us, of.log_index < place.log_index),
    )
