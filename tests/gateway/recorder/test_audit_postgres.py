"""`ostiary audit verify` of a record in PostgreSQL: what is found, and what cannot be read."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gateway.recorder.conftest import Home, make_home, new_decision
from ostiary.cli.audit.locate import locate
from ostiary.cli.audit.problem import Tampered, UsageError
from ostiary.cli.audit.verify import Audit
from ostiary.tlog.keys import create_log_key
from ostiary.v1.record_pb2 import EventComment, EventErasure, EventRecord
from postgres import Postgres

Command = Callable[..., Any]
BLANK = "caller = '', idempotency_key = '', request_sha256 = '', salt = '', record = ''"


@pytest.fixture
def home(tmp_path: Path, postgres: Postgres) -> Home:
    """A gateway's folder, its record in PostgreSQL."""
    return make_home(tmp_path / "stack", postgres.database())


def intrude(home: Home, *statements: str) -> None:
    """Run statements past triggers and foreign keys, as whoever owns the server can."""
    with psycopg.connect(home.url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            connection.execute(statement.encode())


def event(number: int, kind: str, **more: Any) -> EventRecord:
    check_id = new_decision(number).check_id
    return EventRecord(check_id=check_id, tenant="demo", actor="spiffe://x/y", kind=kind, **more)


async def fill(home: Home) -> None:
    """260 decisions, one of them viewed, another commented on and erased."""
    await home.fill(260)
    async with home.open() as recorder:
        await recorder.append(event(0, "viewed"))
        await recorder.append(event(1, "commented", comment=EventComment(text="rang")))
        await recorder.append(event(1, "erased", erasure=EventErasure(log_index=1, events=[261])))
    home.sql(f"UPDATE decisions SET {BLANK} WHERE log_index = 1")  # noqa: S608 - the words above
    home.sql("UPDATE case_events SET salt = '', record = '' WHERE log_index = 261")


async def test_in_order(home: Home, audit_command: Command) -> None:
    """Log and database are compared entry by entry; the tombstone explains what is gone."""
    await fill(home)
    told = audit_command(home.root, "--store", home.url)
    assert (told.code, told.err) == (0, "")
    assert "263 entries, signed and complete; 260 decisions and 3 events in the store match" in told.out
    found = audit_command(home.root, "--store", home.url, "--json").json
    assert (found["ok"], found["decisions"], found["events"]) == (True, 260, 3)


def cells(home: Home) -> Iterator[tuple[str, str, str]]:
    """Every column of the record, each with a row of its table."""
    rows = {
        "logs": "id = 1",
        "entries": "log_index = 4",
        "nodes": "node_index = 0",
        "checkpoints": "size = 3",
        "decisions": "log_index = 4",
        "case_events": "log_index = 260",
    }
    for table, row in rows.items():
        for (column,) in home.sql(
            "SELECT column_name FROM information_schema.columns WHERE table_name = ?", table
        ):
            if (table, column) != ("logs", "id"):
                yield table, column, row


def altered(value: Any) -> list[Any]:
    if isinstance(value, int):
        return [value + 1_000_000]
    return [value[:-1] + bytes([value[-1] ^ 1]), b""] if isinstance(value, bytes) else [value + "x"]


def change_cell(home: Home, table: str, column: str, row: str, value: Any) -> str:
    """Where the row is then."""
    with psycopg.connect(home.url) as connection:
        connection.execute("SET session_replication_role = replica")
        change = f"UPDATE {table} SET {column} = %s WHERE {row} RETURNING ctid::text"  # noqa: S608 - names of ours
        ((place,),) = connection.execute(change.encode(), (value,)).fetchall()
    return str(place)


async def test_every_column_counts(home: Home) -> None:
    """Change a value in any column of any table: the audit sees it."""
    await fill(home)
    checked = 0
    for table, column, row in list(cells(home)):
        ((value,),) = home.sql(f"SELECT {column} FROM {table} WHERE {row}")  # noqa: S608 - names from above
        for change in altered(value):
            place = change_cell(home, table, column, row, change)
            with pytest.raises(Tampered):
                home.audit()
            change_cell(home, table, column, f"ctid = '{place}'", value)
            checked += 1
    assert home.audit().decisions == 260
    assert checked > 25


@pytest.mark.parametrize(
    "statements",
    [
        ["DELETE FROM decisions WHERE log_index = 4"],
        ["DELETE FROM case_events WHERE log_index = 260"],
        ["DELETE FROM entries WHERE log_index = 4"],
        ["DELETE FROM decisions WHERE log_index = 4", "DELETE FROM entries WHERE log_index = 4"],
        ["DELETE FROM case_events WHERE log_index = 262", "DELETE FROM entries WHERE log_index = 262"],
        ["DELETE FROM nodes"],
        ["DELETE FROM checkpoints WHERE size = 263"],
        ["INSERT INTO checkpoints SELECT 0, note FROM checkpoints WHERE size = 1"],
        ["DELETE FROM logs"],
        ["TRUNCATE logs, entries, nodes, checkpoints, decisions, case_events CASCADE"],
        [
            "UPDATE decisions SET log_index = -1 WHERE log_index = 4",
            "UPDATE decisions SET log_index = 4 WHERE log_index = 5",
            "UPDATE decisions SET log_index = 5 WHERE log_index = -1",
        ],
        [
            "INSERT INTO decisions SELECT 'more', tenant, caller, 'more', request_sha256, salt, record, "
            "created_us, 263 FROM decisions WHERE log_index = 4"
        ],
        ["DROP TABLE decisions CASCADE"],
        ["ALTER TABLE decisions DROP COLUMN salt"],
        [f"UPDATE decisions SET {BLANK} WHERE log_index = 7"],  # noqa: S608 - the words above
        ["UPDATE case_events SET salt = '', record = '' WHERE log_index = 262"],
    ],
    ids=[
        "decision-dropped",
        "event-dropped",
        "entry-dropped",
        "both-dropped",
        "last-dropped",
        "nodes-dropped",
        "checkpoint-dropped",
        "checkpoint-of-nothing",
        "log-dropped",
        "emptied",
        "decisions-swapped",
        "decision-added",
        "table-dropped",
        "column-dropped",
        "blank-without-tombstone",
        "tombstone-blank",
    ],
)
async def test_tampered(home: Home, audit_command: Command, statements: list[str]) -> None:
    """Whatever is dropped, added, exchanged or emptied is seen, as in SQLite: exit code 1."""
    await fill(home)
    intrude(home, *statements)
    told = audit_command(home.root, "--store", home.url, "--json")
    assert (told.code, told.json["ok"]) == (1, False)


async def test_another_key_and_another_log(home: Home, audit_command: Command, tmp_path: Path) -> None:
    """The key given is the key trusted; the database of another log is told as such."""
    await home.fill(3)
    create_log_key(tmp_path / "log.key", "ostiary.local/log")
    told = audit_command(home.root, "--store", home.url, "--vkey", tmp_path / "log.vkey")
    assert told.code == 1
    other = make_home(tmp_path / "other")
    await other.fill(3)
    told = audit_command(other.root, "--store", home.url)
    assert told.code == 1
    assert "the store names another log" in told.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("/test_", "/no_such_"), "does not exist"),
        (("postgres:@", "nobody_here:@"), "nobody_here"),
        (("host=", "host=/no/such/folder&x="), "--store: PostgreSQL cannot read this URL"),
        (("postgres:@", "postgres:sesame@"), "--store holds a password"),
        (("host=", "password=sesame&host="), "--store holds a password"),
        (("postgres:@", "postgres:sesame/@"), "--store: PostgreSQL cannot read this URL"),
        (("postgres:@", "postgres:12/sesame@"), "--store: PostgreSQL cannot read this URL"),
        (("postgres:@", "postgres:sesame@127.0.0.1:sesame"), "--store: PostgreSQL cannot read this URL"),
        (("postgresql://", "mysql://"), "a URL that begins with postgresql://"),
    ],
    ids=[
        "no-database",
        "no-role",
        "unknown-option",
        "password",
        "password-as-option",
        "slash-in-password",
        "number-and-slash-in-password",
        "at-in-password",
        "other-server",
    ],
)
async def test_usage(home: Home, audit_command: Command, change: tuple[str, str], words: str) -> None:
    """What cannot be read ends with 2 and says what to do; a password is never repeated."""
    await home.fill(1)
    told = audit_command(home.root, "--store", home.url.replace(*change))
    assert (told.code, told.out) == (2, "")
    assert words in told.err
    assert "sesame" not in told.err
    assert "Traceback" not in told.err


async def test_a_server_that_is_not_there(home: Home, audit_command: Command, tmp_path: Path) -> None:
    """It is told, and nothing is said of the record."""
    await home.fill(1)
    told = audit_command(home.root, "--store", f"postgresql://postgres@/ostiary?host={tmp_path}")
    assert told.code == 2
    assert "cannot be read, so that nothing is proved" in told.err


async def test_a_role_without_rights(home: Home, postgres: Postgres, audit_command: Command) -> None:
    """Reading is all that an audit needs, and what it says where it may not."""
    await home.fill(3)
    role = "auditing"
    postgres.run(
        home.url,
        f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    url = home.url.replace("postgres:@", f"{role}:@")
    told = audit_command(home.root, "--store", url)
    assert told.code == 2
    assert "the audit needs SELECT on the record's tables" in told.err
    postgres.run(home.url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    assert audit_command(home.root, "--store", url).code == 0


async def test_gone_in_the_middle(home: Home) -> None:
    """A server that goes away has proved nothing, and is no tampering."""
    await home.fill(1200)

    def end(done: int, total: int) -> None:
        home.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ostiary audit'"
        )

    target = locate(home.root, None, home.url)
    with pytest.raises(UsageError, match="cannot be read, so that nothing is proved"):
        Audit(target, [], patience=0, progress=end).run()
    assert home.audit().decisions == 1200


async def test_the_audit_only_reads(home: Home, audit_command: Command) -> None:
    """Also where the role may do everything: its transactions cannot write."""
    await home.fill(3)
    before = home.sql("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables")
    assert audit_command(home.root, "--store", home.url).code == 0
    assert home.sql("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables") == before


async def test_while_the_gateway_records(home: Home) -> None:
    """One state of the database is compared, though more is recorded meanwhile."""
    async with home.open(publish_interval=0.002) as recorder:
        for number in range(20):
            await recorder.record(new_decision(number))
        target = locate(home.root, None, home.url)
        audit = Audit(target, [], patience=30, progress=lambda done, total: None)
        auditing = asyncio.create_task(asyncio.to_thread(audit.run))
        recorded = 20
        while not auditing.done():
            await asyncio.gather(*(recorder.record(new_decision(i)) for i in range(recorded, recorded + 10)))
            recorded += 10
        verified = await auditing
    assert 20 <= verified.decisions <= recorded
    assert home.audit().decisions == recorded
