"""Which checks' time is over, asked of the tables inside the caller's transaction."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, case, false, or_, select, true

from ostiary_gateway.review.retention import Due, Keep, before_us
from ostiary_gateway.store.schema import cases, decisions

_C = cases.c


def due(connection: Connection, keeps: Sequence[Keep], now_us: int, after: int, most: int) -> list[Due]:
    """Checks behind an entry of the log whose time is over, in its order."""
    rule = case(*((_fits(keep), place) for place, keep in enumerate(keeps)), else_=-1)
    over = case(*((_fits(keep), _over(keep, now_us)) for keep in keeps), else_=false())
    query = (
        select(_C.log_index, _C.tenant, decisions.c.check_id, rule.label("rule"))
        .join_from(cases, decisions)
        .where(_C.log_index > after, _C.held == 0, over)
        .order_by(_C.log_index)
        .limit(most)
    )
    return [Due(*row) for row in connection.execute(query)]


def _fits(keep: Keep) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [true()]
    if keep.verdicts:
        conditions.append(_C.verdict.in_(keep.verdicts))
    if keep.policies:
        conditions.append(or_(*(_under(policy) for policy in keep.policies)))
    return and_(*conditions)


def _under(policy: str) -> ColumnElement[bool]:
    return _C.policy == policy if "@" in policy else _C.policy.startswith(f"{policy}@", autoescape=True)


def _over(keep: Keep, now_us: int) -> ColumnElement[bool]:
    before = before_us(keep, now_us)
    return false() if before is None else _C.decided_us < before
