"""Searches cases in PostgreSQL; inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, FromClause, Row, Select, Text, cast, func, select

from ostiary_gateway.review.cases import Search
from ostiary_gateway.store.case_conditions import among_terms, by_columns, by_words
from ostiary_gateway.store.grams import grams
from ostiary_gateway.store.schema import cases

_C = cases.c
_NEWEST = 10_000


def search_rows(connection: Connection, search: Search, most: int) -> Sequence[Row[Any]]:
    """The newest cases that fit, as rows of `cases` without the text, the newest first."""
    rows: Sequence[Row[Any]] = []
    if search.words or search.labels or search.brands:
        rows = connection.execute(_newest(_among_newest(search), search, most)).all()
    if len(rows) < most:
        query = _newest(cases, search, most).where(*by_columns(search, _C), *_by_grams(search.words))
        rows = connection.execute(query).all()
    return rows


def _newest(source: FromClause, search: Search, most: int) -> Select[*tuple[Any, ...]]:
    """The newest of a source that have the terms and words."""
    of = source.c
    return (
        select(*(column for column in of if column.name != _C.text.name))
        .where(*among_terms(search, of), *by_words(search, of))
        .order_by(of.decided_us.desc(), of.log_index.desc())
        .limit(most)
    )


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
