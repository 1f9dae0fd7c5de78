"""Searches cases in PostgreSQL; inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    Text,
    any_,
    cast,
    func,
    select,
)

from ostiary_gateway.review.cases import Search
from ostiary_gateway.store.case_conditions import among_terms, by_columns, by_words, has_terms, kinds
from ostiary_gateway.store.grams import grams
from ostiary_gateway.store.schema import case_terms, cases

_C = cases.c
_T = case_terms.c
_NEWEST = 10_000
# The planner would rather go through all cases in the order of time, and look for a term of each.
_FEW = 5_000


def search_rows(connection: Connection, search: Search, most: int) -> Sequence[Row[Any]]:
    """The newest cases that fit, as rows of `cases` without the text, the newest first.

    Cases that have a rare label or brand are looked at one by one. What is common is found among the newest
    cases, which then fill the page. All else is left to the planner.
    """
    in_all = [*by_columns(search, _C), *_by_grams(search.words), *by_words(search, _C)]
    few = _few(connection, search)
    if few is not None:
        among = _C.log_index == any_(cast(few, ARRAY(Integer)))
        return connection.execute(_newest(cases, most, [*in_all, *has_terms(search, _C), among])).all()
    rows: Sequence[Row[Any]] = []
    if search.words or search.labels or search.brands:
        newest = _among_newest(search)
        fits = [*among_terms(search, newest.c), *by_words(search, newest.c)]
        rows = connection.execute(_newest(newest, most, fits)).all()
    if len(rows) < most:
        rows = connection.execute(_newest(cases, most, [*in_all, *among_terms(search, _C)])).all()
    return rows


def _newest(source: FromClause, most: int, fits: Sequence[ColumnElement[bool]]) -> Select[*tuple[Any, ...]]:
    """The newest of a source that fit."""
    of = source.c
    return (
        select(*(column for column in of if column.name != _C.text.name))
        .where(*fits)
        .order_by(of.decided_us.desc(), of.log_index.desc())
        .limit(most)
    )


def _few(connection: Connection, search: Search) -> Sequence[int] | None:
    """All with a label or brand that few cases have; None where no such is asked for."""
    for kind, values in kinds(search):
        query = select(_T.log_index).where(_T.kind == kind, _T.value.in_(values)).limit(_FEW + 1)
        having = connection.scalars(query).all()
        if len(having) <= _FEW:
            return having
    return None


def _among_newest(search: Search) -> FromClause:
    """The newest cases: if they fill the page, what is common is found among them before any index is.

    What they do not fill a page with is rare, and quick to find by its terms.
    """
    newest = select(cases).where(*by_columns(search, _C))
    return newest.order_by(_C.decided_us.desc(), _C.log_index.desc()).limit(_NEWEST).subquery()


def _by_grams(words: Sequence[str]) -> list[ColumnElement[bool]]:
    """What the index finds words by."""
    wanted = list(dict.fromkeys(gram for word in words for gram in grams(word)))
    if not wanted:
        return []
    return [func.ostiary_grams(_C.text).op("@>", is_comparison=True)(cast(wanted, ARRAY(Text)))]
