"""Searches cases in SQLite; inside the caller's transaction.

Of the ways to a page the first is taken that is sure to be short. A few cases that an index names are
looked at one by one. What is asked for by terms is looked for in the blocks of `case_index.py`, the newest
first, and in what is not indexed yet. All else goes through the cases in the order of time until the page is
full.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, FromClause, Row, select

from ostiary_gateway.review.cases import Search
from ostiary_gateway.store import case_index, case_sources, queries
from ostiary_gateway.store.case_conditions import by_columns, by_words, has_terms, kinds
from ostiary_gateway.store.case_index import Block
from ostiary_gateway.store.case_terms import wanted
from ostiary_gateway.store.postings import BLOCK, positions_of
from ostiary_gateway.store.schema import cases

# So many entries behind the index are looked through; with more, it is too young to be of use.
_UNINDEXED = 8 * BLOCK
# Blocks that are looked up together: few at first, for pages that are soon full.
_AT_ONCE = (2, 8, 32)
# So many candidates, or more, are looked at before it is asked whether the page is full.
_ENOUGH = 1_000


def search_rows(connection: Connection, search: Search, most: int) -> list[Row[Any]]:
    """The newest cases that fit, as rows of `cases` without the text, the newest first."""
    few = case_sources.few(connection, search)
    if few is not None:
        return _found(connection, few, search, most)
    if (lists := wanted(search)) or kinds(search):
        begin = case_index.indexed(connection) * BLOCK
        if queries.log_size(connection) - begin <= _UNINDEXED:
            return _by_terms(connection, search, lists, begin, most)
    return _found(connection, cases, search, most)


def _found(connection: Connection, source: FromClause, search: Search, most: int) -> list[Row[Any]]:
    of = source.c
    query = (
        select(*(column for column in of if column.name != cases.c.text.name))
        .where(*by_columns(search, of), *has_terms(search, of), *by_words(search, of))
        .order_by(of.decided_us.desc(), of.log_index.desc())
        .limit(most)
    )
    return list(connection.execute(query).all())


def _by_terms(
    connection: Connection, search: Search, lists: Sequence[Sequence[str]], begin: int, most: int
) -> list[Row[Any]]:
    """Until the page is full of cases that are newer than all in the blocks that are left."""
    rows = _found(connection, case_sources.from_entry(search, begin), search, most)
    until_us = search.behind.decided_us if search.behind else search.until_us
    blocks = case_index.blocks(connection, search.since_us, until_us)
    for latest_us, candidates in _batches(connection, search, lists, blocks):
        if len(rows) == most and rows[-1].decided_us > latest_us:
            break
        if candidates:
            rows += _found(connection, case_sources.among(search, candidates), search, most)
            rows.sort(key=lambda row: (row.decided_us, row.log_index), reverse=True)
            del rows[most:]
    return rows


def _batches(
    connection: Connection, search: Search, lists: Sequence[Sequence[str]], blocks: Sequence[Block]
) -> Iterator[tuple[int, list[int]]]:
    """Candidates of blocks, some at a time, with a time that neither they nor later ones are newer than."""
    for some in _groups(blocks):
        found = _candidates(connection, search, lists, [block.number for block in some])
        latest_us, gathered = some[0].latest_us, list[int]()
        for block in some:
            if not gathered:
                latest_us = block.latest_us
            gathered += found.get(block.number, [])
            if len(gathered) >= _ENOUGH:
                yield latest_us, gathered
                gathered = []
        yield latest_us, gathered


def _groups(blocks: Sequence[Block]) -> Iterator[Sequence[Block]]:
    begun, sizes = 0, iter(_AT_ONCE)
    while begun < len(blocks):
        size = next(sizes, _AT_ONCE[-1])
        yield blocks[begun : begun + size]
        begun += size


def _candidates(
    connection: Connection, search: Search, lists: Sequence[Sequence[str]], numbers: Sequence[int]
) -> dict[int, list[int]]:
    """By block, the cases that have a term of each list, and of the labels and brands that are asked for."""
    left = dict.fromkeys(numbers, -1)
    if lists:
        has = case_index.positions(connection, numbers, {term for terms in lists for term in terms})
        left = {number: bits for number in numbers if (bits := _in_each(lists, has[number]))}
    for kind, values in kinds(search):
        having = case_index.having(connection, list(left), kind, values)
        left = {number: both for number, bits in left.items() if (both := bits & having.get(number, 0))}
    return {
        number: [number * BLOCK + position for position in positions_of(bits)]
        for number, bits in left.items()
    }


def _in_each(lists: Sequence[Sequence[str]], has: Mapping[str, int]) -> int:
    """The positions of those that have one term at least of each list, as bits."""
    found = -1
    for terms in lists:
        one = 0
        for term in terms:
            one |= has.get(term, 0)
        found &= one
    return found
