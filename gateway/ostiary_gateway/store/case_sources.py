"""Where SQLite looks for cases: it has no statistics, and is told which index to take."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, FromClause, TextClause, bindparam, text

from ostiary.v1.audit_pb2 import CASE_STATE_CLAIMED, CASE_STATE_DECIDED
from ostiary_gateway.review.cases import Search
from ostiary_gateway.store.schema import cases

FEW = 4_000
"""So many cases are looked at one by one rather than found by what else is asked of them."""

Source = str
"""What stands behind FROM; each begins with the tenant."""

_OF_TIME = "cases INDEXED BY cases_by_time WHERE tenant = :tenant"
_OF_SELLERS = "cases INDEXED BY cases_by_seller WHERE tenant = :tenant AND seller IN :sellers"
_OF_VERDICTS = "cases INDEXED BY cases_by_verdict WHERE tenant = :tenant AND verdict IN :verdicts"
_WAITING = "cases INDEXED BY cases_waiting WHERE tenant = :tenant AND state <> 3"
_CLAIMED = (
    "cases INDEXED BY cases_claimed "
    "WHERE tenant = :tenant AND lease_until_us > 0 AND lease_until_us > :now_us"
)
_FROM_ENTRY = "cases NOT INDEXED WHERE log_index >= :begin"
_AMONG = "json_each(:among) AS wanted CROSS JOIN cases ON cases.log_index = wanted.value"
_SEVERAL = {"sellers", "verdicts"}


def few(connection: Connection, search: Search) -> FromClause | None:
    """Fewer than `FEW` cases among which are all that fit; None where no index names so few."""
    for sources in _narrow(search):
        named = [source + _times(search) for source in sources]
        if sum(_count(connection, search, source) for source in named) < FEW:
            return _rows(search, " UNION ".join(f"SELECT cases.* FROM {source}" for source in named))  # noqa: S608
    return None


def from_entry(search: Search, begin: int) -> FromClause:
    """The cases from an entry of the log on."""
    return _rows(search, f"SELECT * FROM {_FROM_ENTRY}", begin=begin)  # noqa: S608 - the words above


def among(search: Search, log_indexes: Sequence[int]) -> FromClause:
    """The cases of these entries."""
    return _rows(search, f"SELECT cases.* FROM {_AMONG}", among=json.dumps(log_indexes))  # noqa: S608 - as above


def _narrow(search: Search) -> Iterator[list[Source]]:
    """Sources in which all is that fits; those of each list together."""
    yield [_OF_TIME]
    if search.sellers:
        yield [_OF_SELLERS]
    if search.verdicts:
        yield [_OF_VERDICTS]
    if search.states and CASE_STATE_DECIDED not in search.states:
        if CASE_STATE_CLAIMED not in search.states:
            yield [_WAITING]
        else:
            yield [_CLAIMED] if len(search.states) == 1 else [_WAITING, _CLAIMED]


def _times(search: Search) -> str:
    times = ""
    if search.since_us is not None:
        times += " AND decided_us >= :since_us"
    if search.until_us is not None:
        times += " AND decided_us < :until_us"
    if search.behind is not None:
        times += " AND decided_us <= :behind_us"
    return times


def _count(connection: Connection, search: Search, source: Source) -> int:
    """How many there are, up to `FEW`; of the index alone."""
    sql = f"SELECT count(*) FROM (SELECT 1 FROM {source} LIMIT {FEW})"  # noqa: S608 - the words above
    return int(connection.scalar(_bound(search, sql)) or 0)


def _rows(search: Search, sql: str, **more: Any) -> FromClause:
    """Rows of `cases`; nothing that is asked of them changes the way to them."""
    # A limit, or SQLite would take the statement apart.
    return _bound(search, f"SELECT * FROM ({sql}) LIMIT -1", **more).columns(*cases.c).subquery()  # noqa: S608


def _bound(search: Search, sql: str, **more: Any) -> TextClause:
    values = {**vars(search), "behind_us": search.behind and search.behind.decided_us, **more}
    names = dict.fromkeys(re.findall(r":(\w+)", sql))
    return text(sql).bindparams(
        *(bindparam(name, values[name], expanding=name in _SEVERAL) for name in names)
    )
