"""The index that SQLite searches cases by; each function runs inside the caller's transaction.

The log is cut into blocks of entries. Once a block is full, its terms are gathered, each with the cases that
have it, and written at once; blocks follow one another without a gap. What is behind the last one is looked
through. Cases are never added to a block, and nothing changes that their terms are made from: all that can
happen to one is that it is erased.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from ostiary_gateway.store import queries
from ostiary_gateway.store.case_terms import Indexed, by_term, terms_of
from ostiary_gateway.store.inserting import insert_rows
from ostiary_gateway.store.postings import BLOCK, decode, encode, without
from ostiary_gateway.store.schema import case_blocks, case_index, case_terms, cases

_B, _C, _I, _T = case_blocks.c, cases.c, case_index.c, case_terms.c
_INDEX_ROW = ("block", "term", "positions")


@dataclass(frozen=True)
class Block:
    """One block that is indexed: its number, and when the first and the last of its cases were decided.

    Times are microseconds since 1970; both are 0 where it has no cases, but events alone.
    """

    number: int
    earliest_us: int
    latest_us: int


@dataclass(frozen=True)
class Gathered:
    """A block ready to be written: how many cases it was made of, and who has which term, as bytes."""

    block: Block
    cases: int
    terms: Mapping[str, bytes]


def indexed(connection: Connection) -> int:
    """How many blocks are indexed, from the first on."""
    last = connection.scalar(select(func.max(_B.block)))
    return 0 if last is None else int(last) + 1


def full(connection: Connection) -> int:
    """How many blocks are full."""
    return queries.log_size(connection) // BLOCK


def blocks(connection: Connection, since_us: int | None, until_us: int | None) -> list[Block]:
    """Those that may hold cases decided from the one on, and up to the other; the newest first."""
    query = select(_B.block, _B.earliest_us, _B.latest_us).where(_B.latest_us > 0)
    if since_us is not None:
        query = query.where(_B.latest_us >= since_us)
    if until_us is not None:
        query = query.where(_B.earliest_us <= until_us)
    rows = connection.execute(query.order_by(_B.latest_us.desc(), _B.block.desc()))
    return [Block(*row) for row in rows]


def positions(
    connection: Connection, numbers: Sequence[int], terms: Iterable[str]
) -> dict[int, dict[str, int]]:
    """Of blocks, which of their cases have which of the terms, as bits; what is not there is left out."""
    query = select(_I.block, _I.term, _I.positions).where(_I.block.in_(numbers), _I.term.in_(list(terms)))
    found: dict[int, dict[str, int]] = {number: {} for number in numbers}
    for number, term, data in connection.execute(query):
        found[number][term] = decode(data)
    return found


def having(
    connection: Connection, numbers: Sequence[int], kind: str, values: Sequence[str]
) -> dict[int, int]:
    """Of blocks, which of their cases have one of the values as a label or brand, as bits."""
    if not numbers:
        return {}
    within = _T.log_index >= min(numbers) * BLOCK, _T.log_index < (max(numbers) + 1) * BLOCK
    query = select(_T.log_index).where(_T.kind == kind, _T.value.in_(values), *within)
    found: dict[int, int] = {}
    for log_index in connection.scalars(query):
        number, position = divmod(log_index, BLOCK)
        found[number] = found.get(number, 0) | 1 << position
    return found


def read(connection: Connection, number: int) -> list[tuple[int, Indexed]]:
    """The cases of a block: when each was decided, and what its terms are made from."""
    columns = (_C.decided_us, *(_C[name] for name in Indexed._fields))
    rows = connection.execute(select(*columns).where(*_within(number)).order_by(_C.log_index))
    return [(row[0], Indexed(*row[1:])) for row in rows]


def gather(number: int, found: Sequence[tuple[int, Indexed]]) -> Gathered:
    """Make a block of its cases. Pure, and what takes the time."""
    times = [decided_us for decided_us, _ in found]
    block = Block(number, min(times, default=0), max(times, default=0))
    terms = {term: encode(places) for term, places in by_term(case for _, case in found).items()}
    return Gathered(block, len(found), terms)


def write(connection: Connection, gathered: Gathered) -> bool:
    """Write a block if it is the next one, and none of its cases was erased since; whether it was."""
    block = gathered.block
    there = connection.scalar(select(func.count()).select_from(cases).where(*_within(block.number)))
    if indexed(connection) != block.number or there != gathered.cases:
        return False
    rows = [(block.number, term, gathered.terms[term]) for term in sorted(gathered.terms)]
    insert_rows(connection, case_index, _INDEX_ROW, rows)
    row = {"block": block.number, "earliest_us": block.earliest_us, "latest_us": block.latest_us}
    connection.execute(insert(case_blocks), row)
    return True


def forget(connection: Connection, log_index: int) -> None:
    """Take a case, which must be there still, out of its block. PostgreSQL has no blocks."""
    if connection.dialect.name != "sqlite":
        return
    number, position = divmod(log_index, BLOCK)
    row = connection.execute(
        select(*(_C[name] for name in Indexed._fields)).where(_C.log_index == log_index)
    ).first()
    if row is None or number >= indexed(connection):
        return
    query = select(_I.term, _I.positions).where(_I.block == number, _I.term.in_(terms_of(Indexed(*row))))
    for term, data in connection.execute(query).all():
        mine = (_I.block == number) & (_I.term == term)
        left = without(data, position)
        change = update(case_index).values(positions=left) if left else delete(case_index)
        connection.execute(change.where(mine))


def _within(number: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _C.log_index >= number * BLOCK, _C.log_index < (number + 1) * BLOCK
