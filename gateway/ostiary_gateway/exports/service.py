"""AuditService's ExportCases: cases leave page by page, however many there are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from ostiary.v1.audit_pb2 import (
    EXPORT_FORMAT_CSV,
    EXPORT_FORMAT_DSA,
    EXPORT_FORMAT_JSON_LINES,
    EXPORT_FORMAT_PARQUET,
    ExportCasesRequest,
    ExportCasesResponse,
    SearchCasesRequest,
)
from ostiary.wire.call import Call, Handler
from ostiary.wire.errors import OstiaryError, Reason, invalid_field
from ostiary_gateway.exports.csv_lines import CsvEncoder
from ostiary_gateway.exports.encoder import CHUNK_BYTES, Encoder, chunks
from ostiary_gateway.exports.json_lines import JsonEncoder
from ostiary_gateway.exports.statements import StatementEncoder
from ostiary_gateway.review.asked import asked
from ostiary_gateway.review.callers import tenant_of
from ostiary_gateway.review.cases import Case, Place, Search
from ostiary_gateway.times import microseconds, utc_now

_PAGE = 250


class WholeCases(Protocol):
    """Finds cases with all that is known of them. Raises OstiaryError (STORE_UNAVAILABLE)."""

    async def whole(self, search: Search) -> "tuple[list[Case], Place | None]":
        """A page of a tenant's cases, the newest first, and where to go on; None: no more."""
        ...


class ExportService:
    """Cases of the caller's tenant, in a format for other systems."""

    def __init__(self, cases: WholeCases, clock: Callable[[], datetime] = utc_now, page: int = _PAGE) -> None:
        """`clock` gives aware times; `page` is how many cases are in memory at once."""
        self._cases = cases
        self._clock = clock
        self._page = page

    def handlers(self) -> Mapping[str, Handler]:
        """The handlers by method name, as a server builder takes them."""
        return {"ExportCases": self.export_cases}

    async def export_cases(
        self, request: ExportCasesRequest, call: Call
    ) -> AsyncIterator[ExportCasesResponse]:
        """ExportCases: the newest first, as SearchCases has them; what is decided meanwhile is left out."""
        encoder = _encoder(request.format)
        now_us = microseconds(self._clock())
        wanted = SearchCasesRequest()
        wanted.CopyFrom(request.search)
        wanted.ClearField("page_size")
        wanted.ClearField("page_token")
        search = replace(asked(wanted, tenant_of(call), now_us), most=self._page)
        waiting = bytearray(encoder.head())
        place: Place | None = None
        while True:
            cases, place = await self._cases.whole(replace(search, behind=place))
            waiting += await asyncio.to_thread(encoder.cases, cases, now_us)
            while len(waiting) >= CHUNK_BYTES:
                yield ExportCasesResponse(data=bytes(waiting[:CHUNK_BYTES]))
                del waiting[:CHUNK_BYTES]
            if place is None:
                break
        waiting += await asyncio.to_thread(encoder.tail)
        for piece in chunks(bytes(waiting)):
            yield ExportCasesResponse(data=piece)


def _encoder(wanted: int) -> Encoder:
    if wanted == EXPORT_FORMAT_CSV:
        return CsvEncoder()
    if wanted == EXPORT_FORMAT_JSON_LINES:
        return JsonEncoder()
    if wanted == EXPORT_FORMAT_DSA:
        return StatementEncoder()
    if wanted == EXPORT_FORMAT_PARQUET:
        return _parquet()
    raise invalid_field("format", "name one of the formats")


def _parquet() -> Encoder:
    try:
        from ostiary_gateway.exports.parquet import ParquetEncoder
    except ImportError as error:
        words = "The gateway writes no Parquet without its library: pip install 'ostiary[parquet]' there"
        raise OstiaryError(Reason.FAILED_PRECONDITION, words) from error
    return ParquetEncoder()
