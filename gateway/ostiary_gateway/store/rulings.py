"""Reads the rulings on record, without ever writing, also while a gateway records more."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from google.protobuf.message import DecodeError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from ostiary.v1.record_pb2 import DecisionRecord, EventRecord
from ostiary_gateway.review.agreement import Reviewed
from ostiary_gateway.review.standing import RULED
from ostiary_gateway.store.database import Store, StoreError
from ostiary_gateway.store.history import Period, condition, read_only_engine
from ostiary_gateway.store.schema import case_events, decisions

_E = case_events.c


def reviewed(store: Store, period: Period) -> Iterator[Reviewed]:
    """The cases that were ruled on and whose decisions are of a period, with all their rulings.

    Raises StoreError.
    """
    if isinstance(store, Path) and not store.is_file():
        raise StoreError(f"{store} is not a file: the gateway has recorded nothing, or elsewhere")
    query = (
        select(_E.check_id, _E.record.label("event"), decisions.c.record)
        .join_from(case_events, decisions, decisions.c.check_id == _E.check_id)
        .where(_E.kind == RULED, condition(period))
        .order_by(_E.check_id, _E.log_index)
    )
    engine = read_only_engine(store)
    try:
        with engine.connect() as connection:
            for check_id, rows in groupby(connection.execute(query), key=lambda row: str(row.check_id)):
                found = list(rows)
                rulings = [EventRecord.FromString(row.event) for row in found]
                yield _reviewed(check_id, DecisionRecord.FromString(found[0].record), rulings)
    except (SQLAlchemyError, DecodeError) as error:
        why = getattr(error, "orig", None) or error
        raise StoreError(f"{store} cannot be read as a record: {why}; see `ostiary audit verify`") from error
    finally:
        engine.dispose()


def _reviewed(check_id: str, record: DecisionRecord, rulings: list[EventRecord]) -> Reviewed:
    bundle = record.response.receipt.bundle
    name = f"{bundle.name}@{bundle.version}" if bundle.name else ""
    return Reviewed(check_id, record.response.verdict, name, rulings)
