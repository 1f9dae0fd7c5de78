"""Whatever is changed in the store, the audit says so."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.recorder.conftest import new_decision
from ostiary.cli.audit.problem import Tampered
from ostiary.v1.decision_pb2 import VERDICT_ALLOW
from ostiary.v1.record_pb2 import DecisionRecord, EventRecord


def cells(home: Any) -> Iterator[tuple[str, str, int, Any]]:
    """Values of the store: table, column, row and value; of the large tables, rows of every kind."""
    for table in ("logs", "entries", "nodes", "checkpoints", "decisions", "case_events"):
        columns = [row[1] for row in home.sql(f"PRAGMA table_info({table})")]
        large = table in ("entries", "decisions")
        for column in columns:
            for row, value in home.sql(f"SELECT rowid, {column} FROM {table}"):  # noqa: S608 # names from above
                if not large or row in (0, 1, 2, 259, 260):
                    yield table, column, row, value


def altered(value: Any) -> Iterator[Any]:
    """Values that are not `value`: one bit away, of another type, and none at all."""
    if isinstance(value, int):
        yield from (value + 1, value + 1_000_000, str(value) + "x")
    elif isinstance(value, bytes):
        for at in {0, len(value) // 2, len(value) - 1}:
            yield value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
        yield from (value[:-1], value + b"\0", b"", value.hex())
    else:
        yield from (value + "x", value.swapcase() + "y", value[:-1] + "\u00e9", value.encode())


def is_tampered(home: Any) -> bool:
    try:
        home.audit()
    except Tampered:
        return True
    return False


async def test_every_value_of_the_store_counts(home: Any) -> None:
    """Change any value in any table: the database refuses it, or the audit sees it."""
    await home.fill(258)
    async with home.open() as recorder:
        await recorder.append(EventRecord(check_id=new_decision(0).check_id, tenant="demo", kind="viewed"))
        await recorder.record(new_decision(258))
    whole, checked = home.store.read_bytes(), 0
    for table, column, row, value in list(cells(home)):
        for change in altered(value):
            try:
                home.sql(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", change, row)  # noqa: S608
            except sqlite3.IntegrityError:
                continue
            assert is_tampered(home), (table, column, row, change)
            checked += 1
            home.store.write_bytes(whole)
    assert (home.audit().decisions, home.audit().events) == (259, 1)
    assert checked > 150


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM decisions WHERE log_index = 4"],
        ["DELETE FROM entries WHERE log_index = 4"],
        ["DELETE FROM decisions WHERE log_index = 4", "DELETE FROM entries WHERE log_index = 4"],
        ["DELETE FROM decisions WHERE log_index = 259", "DELETE FROM entries WHERE log_index = 259"],
        ["DELETE FROM nodes"],
        ["DELETE FROM checkpoints WHERE size = 260"],
        ["INSERT INTO checkpoints SELECT 0, note FROM checkpoints WHERE size = 1"],
        ["INSERT INTO checkpoints SELECT 2 + size, note FROM checkpoints WHERE size = 2"],
        ["DELETE FROM logs"],
        [f"DELETE FROM {table}" for table in ("decisions", "entries", "nodes", "checkpoints")],  # noqa: S608
        [
            "UPDATE decisions SET log_index = -1 WHERE log_index = 4",
            "UPDATE decisions SET log_index = 4 WHERE log_index = 5",
            "UPDATE decisions SET log_index = 5 WHERE log_index = -1",
        ],
        [
            "UPDATE entries SET log_index = -1 WHERE log_index = 4",
            "UPDATE entries SET log_index = 4 WHERE log_index = 5",
            "UPDATE entries SET log_index = 5 WHERE log_index = -1",
        ],
        [
            "INSERT INTO decisions SELECT 'more', tenant, caller, 'more', request_sha256, salt, record, "
            "created_us, 260 FROM decisions WHERE log_index = 4"
        ],
        [
            "INSERT INTO entries SELECT 260, data, leaf_hash FROM entries WHERE log_index = 4",
            "INSERT INTO decisions SELECT 'more', tenant, caller, 'more', request_sha256, salt, record, "
            "created_us, 260 FROM decisions WHERE log_index = 4",
        ],
        ["DROP TABLE decisions"],
    ],
    ids=[
        "decision-dropped",
        "entry-dropped",
        "both-dropped",
        "last-dropped",
        "nodes-dropped",
        "checkpoint-dropped",
        "checkpoint-of-nothing",
        "checkpoint-copied",
        "log-dropped",
        "emptied",
        "decisions-swapped",
        "entries-swapped",
        "decision-added",
        "both-added",
        "table-dropped",
    ],
)
async def test_rows_of_the_store_count(home: Any, statements: list[str]) -> None:
    """Dropping, reordering and adding rows is seen."""
    await home.fill(260)
    for statement in statements:
        home.sql(statement)
    with pytest.raises(Tampered):
        home.audit()


async def test_a_forged_decision(home: Any) -> None:
    """A record rewritten with columns to match, and even a fresh salt, does not meet its commitment."""
    await home.fill(5)
    [(blob,)] = home.sql("SELECT record FROM decisions WHERE log_index = 2")
    record = DecisionRecord.FromString(blob)
    record.response.verdict = VERDICT_ALLOW
    home.sql("UPDATE decisions SET record = ? WHERE log_index = 2", record.SerializeToString())
    for salt in (None, b"\0" * 32):
        if salt:
            home.sql("UPDATE decisions SET salt = ? WHERE log_index = 2", salt)
        with pytest.raises(Tampered, match="decision of entry 2 is not the one that was recorded") as caught:
            home.audit()
        assert caught.value.entry == 2


async def test_a_damaged_database_file(home: Any) -> None:
    """Pages overwritten on disk are reported, never a traceback."""
    await home.fill(260)
    whole = home.store.read_bytes()
    for page in range(1, len(whole) // 4096):
        home.store.write_bytes(whole[: page * 4096] + b"\xa5" * 4096 + whole[(page + 1) * 4096 :])
        with pytest.raises(Tampered):
            home.audit()


async def test_the_audit_leaves_the_store_alone(home: Any) -> None:
    """Auditing changes no byte and leaves no file beside the database."""
    await home.fill(5)
    before = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    home.audit()
    assert {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()} == before
