"""Whole cases, asked of the tables page by page; each page inside one transaction of the caller's."""

from sqlalchemy import Connection

from ostiary_gateway.review.cases import Case, Place, Search
from ostiary_gateway.store import case_queries, event_queries, queries


def whole_cases(connection: Connection, search: Search, origin: str) -> tuple[list[Case], Place | None]:
    """A page of a tenant's cases with their receipts and events, and where to go on."""
    page = case_queries.search_cases(connection, search)
    ids = [line.record.check_id for line in page.lines]
    answers = queries.answers_by_checks(connection, search.tenant, ids, origin)
    events = event_queries.events_by_checks(connection, search.tenant, ids)
    # What was erased has nothing left to export.
    found = [
        Case(line.record, answers[check_id], events[check_id], line.standing)
        for check_id, line in zip(ids, page.lines, strict=True)
        if check_id in answers
    ]
    return found, page.end
