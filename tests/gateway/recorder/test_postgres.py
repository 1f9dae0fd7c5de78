"""The record in PostgreSQL: gateways side by side, who may write what, and a database that goes away."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.recorder.conftest import ORIGIN, Home, make_home, new_decision
from gateway.site import until
from ostiary.v1.decision_pb2 import VERDICT_REVIEW
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import EventComment, EventRecord
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.review.cases import Search
from ostiary_gateway.review.erasing import Eraser
from ostiary_gateway.store.database import StoreError, open_engine
from ostiary_gateway.store.database_cases import open_cases
from ostiary_gateway.store.database_erasures import open_erasures
from ostiary_gateway.store.database_queue import open_queue
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.evidence_keys import KeyMemory, KnownKeys
from ostiary_gateway.store.grams import grams
from ostiary_gateway.store.history import History, Period
from ostiary_gateway.store.postgres import RECORDER_ROLE
from ostiary_gateway.store.schema import metadata
from ostiary_gateway.store.sealing import KeyEncryptionKey, KmsKey
from postgres import FallibleServer, Postgres, failing


@pytest.fixture
def home(tmp_path: Path, postgres: Postgres) -> Home:
    """A gateway's folder, its record in PostgreSQL."""
    return make_home(tmp_path / "stack", postgres.database())


async def test_what_is_published_verifies(home: Home) -> None:
    """The log is the same whatever keeps the record."""
    await home.fill(300)
    verified = home.audit(with_store=False)
    assert verified.checkpoint.size == 300


async def test_two_gateways_write_one_log(home: Home) -> None:
    """Each takes the lock of the one sequencer: no index is given twice, and none is left out."""
    async with home.open() as one, home.open() as other:
        answers = await asyncio.gather(
            *((one if number % 2 else other).record(new_decision(number)) for number in range(60))
        )
    assert sorted(each.receipt.log_index for each in answers) == list(range(60))
    assert home.audit(with_store=False).checkpoint.size == 60


async def test_the_schema_is_the_one_that_queries_see(home: Home) -> None:
    """What the migrations make is what the tables say, but for the indexes that only PostgreSQL has."""
    await home.fill(0)
    engine = open_engine(home.url, begin="BEGIN")
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert {change[1].name for change in found if change[0] == "remove_index"} <= {
        "cases_by_grams",
        "cases_by_policy",
        "cases_by_bundle",
    }
    assert [change for change in found if change[0] != "remove_index"] == []


async def test_a_gateway_that_may_only_add(home: Home, postgres: Postgres) -> None:
    """The recorder's role records, searches and queues; it changes and deletes nothing of the log."""
    postgres.run(
        home.url,
        f"DO $$ BEGIN CREATE ROLE {RECORDER_ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"ALTER ROLE {RECORDER_ROLE} LOGIN",
    )
    await home.fill(1)
    limited = Home(home.root, home.url.replace("postgres:@", f"{RECORDER_ROLE}:@"))
    async with limited.open() as recorder, open_queue(limited.url, 10) as queue:
        answer = await recorder.record(new_decision(7))
        await recorder.append(
            EventRecord(
                check_id=new_decision(7).check_id,
                tenant="demo",
                actor="spiffe://ostiary.local/tenant/demo/role/auditor",
                kind="commented",
                comment=EventComment(text="so it is"),
            )
        )
        assert await queue.claim(1, 1.0) == []
    memory, newest = KeyMemory(limited.url), KmsKey(b"87654321", b"as the KMS has it")
    for key in (KmsKey(b"12345678", b"older"), newest):
        await asyncio.to_thread(memory.take_kms, key)
    assert memory.known() == KnownKeys(None, newest)
    assert answer.receipt.log_index == 1
    for table in ("entries", "decisions", "nodes", "checkpoints", "case_events", "logs"):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table}"):  # noqa: S608 # the names above
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                postgres.run(limited.url, statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        postgres.run(limited.url, "UPDATE decisions SET tenant = 'other'")
    for table in ("decisions", "case_events"):
        with pytest.raises(psycopg.errors.RaiseException, match="what has a tombstone can be emptied"):
            postgres.run(limited.url, f"UPDATE {table} SET record = '', salt = ''")  # noqa: S608 # as above


async def test_erasure_is_its_one_change(home: Home, postgres: Postgres) -> None:
    """The recorder's role empties what has a tombstone, and cannot fill it again."""
    postgres.run(
        home.url,
        f"DO $$ BEGIN CREATE ROLE {RECORDER_ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"ALTER ROLE {RECORDER_ROLE} LOGIN",
    )
    await home.fill(3)
    limited = Home(home.root, home.url.replace("postgres:@", f"{RECORDER_ROLE}:@"))
    evidence = DirectoryEvidence(home.root / "evidence", KeyEncryptionKey(b"k" * 32))
    check_id = new_decision(1).check_id
    async with (
        limited.open() as recorder,
        open_cases(limited.url, ORIGIN) as cases,
        open_erasures(limited.url) as erasures,
    ):
        eraser = Eraser(cases, recorder, erasures, evidence)
        await eraser.erase("demo", check_id, "spiffe://x/y", "asked for")
        assert await erasures.unfinished(1) == []
        found = await cases.get("demo", check_id)
        assert found is not None
        assert found.erased
        assert await recorder.get("demo", check_id) is None
        assert await recorder.get("demo", new_decision(2).check_id) is not None
    with pytest.raises(psycopg.errors.RaiseException):
        postgres.run(limited.url, f"UPDATE decisions SET record = 'x' WHERE check_id = '{check_id}'")  # noqa: S608


@pytest.mark.parametrize(
    ("name", "may", "words"),
    [
        pytest.param("someone", "LOGIN", "which its owner may", id="has no rights"),
        pytest.param(
            "shut_out",
            "NOLOGIN",
            "lets nobody in with these settings.*not permitted to log in",
            id="may not log in",
        ),
    ],
)
async def test_a_role_that_cannot_open_it(
    home: Home, postgres: Postgres, name: str, may: str, words: str
) -> None:
    """It is told at once, for waiting does not help, who could: without a password in the words."""
    postgres.run(
        home.url,
        f"DO $$ BEGIN CREATE ROLE {name} {may}; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
    )
    limited = Home(home.root, home.url.replace("postgres:@", f"{name}:secret@"))
    with pytest.raises(StoreError, match=words) as caught:
        async with limited.open():
            pass
    assert "secret" not in str(caught.value)


async def test_a_database_that_is_not_there(home: Home) -> None:
    """The gateway does not start, and says which database it is."""
    gone = Home(home.root, home.url.replace("/test_", "/no_such_"))
    with pytest.raises(StoreError, match="no_such_"):
        async with gone.open():
            pass


@pytest.mark.parametrize(
    ("fail", "mend"),
    [
        pytest.param(lambda server: None, FallibleServer.start, id="down"),
        pytest.param(FallibleServer.recover, FallibleServer.end_recovery, id="in recovery"),
    ],
)
async def test_a_server_that_takes_no_connections_yet(
    tmp_path: Path, fail: Callable[[FallibleServer], None], mend: Callable[[FallibleServer], None]
) -> None:
    """It is waited for: a gateway does not end because it started before its database did."""
    with failing() as server, capture_logs() as logs:
        server.kill()
        fail(server)
        home = make_home(tmp_path / "stack", server.url)
        opening = asyncio.create_task(_recorded(home))
        await until(lambda: bool(logs) or opening.done())
        assert not opening.done(), opening
        assert {(each["event"], each["log_level"]) for each in logs} == {("store.waiting", "warning")}
        assert "takes no connections now" in logs[0]["error"]
        await asyncio.to_thread(mend, server)
        assert await opening == 0


async def _recorded(home: Home) -> int:
    """Where in the log a first decision is."""
    async with home.open() as recorder:
        return (await recorder.record(new_decision(0))).receipt.log_index


async def test_connections_that_break(home: Home) -> None:
    """A decision is refused while its connection breaks; the next one is recorded, and none is lost."""
    async with home.open() as recorder:
        first = await recorder.record(new_decision(0))
        home.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        outcomes = []
        for number in range(1, 6):
            outcomes += await asyncio.gather(recorder.record(new_decision(number)), return_exceptions=True)
    answers = [each for each in outcomes if isinstance(each, CheckResponse)]
    refused = [each.reason for each in outcomes if isinstance(each, OstiaryError)]
    assert refused == [Reason.STORE_UNAVAILABLE] * (5 - len(answers))
    assert first.receipt.log_index == 0
    assert [each.receipt.log_index for each in answers] == list(range(1, len(answers) + 1))
    assert len(answers) >= 4
    assert home.audit(with_store=False).checkpoint.size == len(answers) + 1


async def test_the_database_of_another_log(home: Home, tmp_path: Path) -> None:
    """A key that is not this database's is refused at the start."""
    await home.fill(1)
    other = make_home(tmp_path / "other", home.url)
    with pytest.raises(StoreError, match="belongs to the log"):
        async with other.open():
            pass


async def test_searching(home: Home) -> None:
    """Words are found as SQLite finds them: anywhere in a text, in Chinese too, and by verdict and label."""
    await home.fill(3)
    async with open_cases(home.url, "ostiary.local/log") as cases:

        async def found(**asked: Any) -> int:
            return len((await cases.search(Search("demo", **asked))).lines)

        for word in ("cotton", "ott", "微信", "abc123", "加微信", "t-shirt"):
            assert await found(words=(word,)) == 3, word
        for word in ("silk", "微博", "cottons"):
            assert await found(words=(word,)) == 0, word
        assert await found(words=("cotton", "微信"), verdicts=(VERDICT_REVIEW,)) == 3
        assert await found(labels=("prohibited_ads/contact_details",), words=("t",)) == 3
        assert await found(labels=("nudity/explicit",)) == 0
        proof = await cases.prove_inclusion(1, 0)
        assert proof.checkpoint.startswith("ostiary.local/log\n3\n")


async def test_replaying(home: Home) -> None:
    """A replay reads the record of either database."""
    await home.fill(5)
    history = History(home.url, Period(tenant="demo"))
    assert len(history) == 5
    assert [each.check_id[-1] for each in history.records()] == list("01234")
    assert sum(1 for span in history.spans(2) for _ in history.records(span)) == 5
    history.close()


@given(
    text=st.text(st.sampled_from("ab c-微信字ß\n"), max_size=12),
    start=st.integers(0, 10),
    length=st.integers(1, 6),
)
def test_grams_of_a_word_are_among_those_of_every_text_that_holds_it(
    text: str, start: int, length: int
) -> None:
    """Otherwise the index would hide what is there."""
    word = text[start : start + length]
    whole = {text[at : at + 3] for at in range(len(text) - 2)}
    whole |= {text[at : at + 2] for at in range(len(text) - 1)}
    assert set(grams(word)) <= whole
    assert all(len(gram) in (2, 3) for gram in grams(word))


async def test_the_database_makes_the_same_grams(home: Home) -> None:
    """What it indexes is what is asked for."""
    await home.fill(0)
    for text in ("", "a", "cotton 微信 t-shirt", "加微信", "ＡＢ微"):
        ((found,),) = home.sql("SELECT ostiary_grams(?)", text)
        pairs = [text[at : at + 2] for at in range(len(text) - 1)]
        assert set(found) == {*grams(text), *(pair for pair in pairs if grams(pair))}, json.dumps(text)
