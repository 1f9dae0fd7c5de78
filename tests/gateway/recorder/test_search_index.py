"""The index of cases in SQLite: made beside what is recorded, complete, and rid of what is erased."""

import asyncio
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.recorder.conftest import Home, make_home, new_decision
from gateway.recorder.searched_store import BLOCK, START, asking, fill, index_all
from gateway.site import until
from ostiary.v1.audit_pb2 import CASE_STATE_CLAIMED
from ostiary.v1.decision_pb2 import VERDICT_BLOCK
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.record_pb2 import EventClaim, EventRecord, EventRedecision
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.review.cases import Search
from ostiary_gateway.review.erasing import Erasure
from ostiary_gateway.store import case_index
from ostiary_gateway.store.case_queries import search_cases
from ostiary_gateway.store.database_erasures import open_erasures
from ostiary_gateway.store.postings import decode
from ostiary_gateway.store.sqlite_indexer import MOST_RECORDED, Pace, indexing, open_indexer

_LACKING = 40
GHOSTS = Search("demo", words=("幽灵特卖",))
CLEAN = ("幽灵特", "灵特卖", "quuxly", "quux", "uuxl")


@pytest.fixture(scope="module")
def almost(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A store that lacks a few decisions to a block."""
    home = make_home(tmp_path_factory.mktemp("almost") / "stack")
    fill(home, BLOCK - _LACKING)
    return home


@pytest.fixture
def home(tmp_path: Path, almost: Home) -> Home:
    """A copy of it."""
    shutil.copytree(almost.root, tmp_path / "stack")
    return Home(tmp_path / "stack")


def ghost(number: int) -> NewDecision:
    """A decision about somebody, with words that nobody else has, and some that others have too."""
    return replace(new_decision(number), listing=Listing(title="幽灵特卖 加微信 quuxly"))


async def fill_block(home: Home, *ghosts: int, more: int = 0) -> None:
    """Record decisions about somebody, and others until the block is full, and so many more."""
    async with home.open() as recorder:
        for number in ghosts:
            await recorder.record(ghost(number))
        for number in range(_LACKING - len(ghosts) + more):
            await recorder.record(new_decision(100 + number))


def found(home: Home, search: Search) -> list[int]:
    with asking(home) as connection:
        return [int(line.record.check_id[-12:]) for line in search_cases(connection, search).lines]


async def erase(home: Home, number: int) -> None:
    async with open_erasures(home.store) as erasures:
        await erasures.complete([Erasure("demo", new_decision(number).check_id, 0)])


def traces(home: Home) -> list[str]:
    """Grams and words of what was erased that a file of the database still holds."""
    files = b"\0".join(path.read_bytes() for path in home.store.parent.iterdir())
    return [word for word in CLEAN if word.encode() in files]


async def test_a_full_block_is_indexed(home: Home) -> None:
    """As soon as its last entry is there, and not before; what is recorded later is found too."""
    assert index_all(home) == 0
    await fill_block(home, 1, 2)
    assert index_all(home) == 1
    async with home.open() as recorder:
        await recorder.record(ghost(3))
    assert index_all(home) == 0
    assert found(home, GHOSTS) == [3, 2, 1]


async def test_a_store_from_before(home: Home) -> None:
    """An older store is searched at once after the upgrade, and indexed beside."""
    await fill_block(home, 1, 2)
    for statement in (
        "DROP TABLE case_index",
        "DROP TABLE case_blocks",
        "DROP INDEX cases_claimed",
        "DROP TABLE evidence_kms",
        "UPDATE alembic_version SET version_num = '0006'",
    ):
        home.sql(statement)
    async with home.open():
        assert found(home, GHOSTS) == [2, 1]
        assert index_all(home) == 1
        assert found(home, GHOSTS) == [2, 1]


async def test_nothing_is_left_of_what_is_erased(home: Home) -> None:
    """No gram that nobody else has, and no term by which others are found leads to it."""
    await fill_block(home, 1)
    assert index_all(home) == 1
    [(place,)] = home.sql(
        "SELECT log_index FROM decisions WHERE check_id LIKE '0193568a%' AND log_index < ?", BLOCK - 39
    )
    assert traces(home)
    await erase(home, 1)
    assert traces(home) == []
    assert found(home, GHOSTS) == []
    rows = home.sql("SELECT positions FROM case_index")
    assert [data for (data,) in rows if decode(data) >> place & 1] == []
    assert all(data for (data,) in rows)
    assert len(found(home, Search("demo", words=("加微信",), most=200))) >= _LACKING - 1


async def test_erased_while_its_block_is_made(home: Home) -> None:
    """What was read before is not written: the block is made anew, without it."""
    await fill_block(home, 1, 2)
    with asking(home) as connection:
        gathered = case_index.gather(0, case_index.read(connection, 0))
    await erase(home, 1)
    with asking(home, "BEGIN IMMEDIATE") as connection:
        assert not case_index.write(connection, gathered)
    assert index_all(home) == 1
    assert found(home, GHOSTS) == [2]
    await erase(home, 2)
    assert traces(home) == []


async def test_two_gateways_index(home: Home) -> None:
    """A block is written once, whoever is first."""
    await fill_block(home, 1)
    with asking(home) as connection:
        gathered = case_index.gather(0, case_index.read(connection, 0))
    assert index_all(home) == 1
    with asking(home, "BEGIN IMMEDIATE") as connection:
        assert not case_index.write(connection, gathered)
    assert found(home, GHOSTS) == [1]


async def test_cases_that_move(home: Home) -> None:
    """A verdict that changes and a claim are found in a block that is indexed as they stand now."""
    await fill_block(home, 1, 2)
    assert index_all(home) == 1
    claim, change = (
        EventRecord(check_id=new_decision(1).check_id, tenant="demo", kind="claimed", actor="spiffe://x/y")
        for _ in "12"
    )
    claim.claim.CopyFrom(EventClaim())
    claim.claim.lease_until.FromDatetime(START + timedelta(minutes=15))
    change.kind = "redecided"
    change.redecision.CopyFrom(EventRedecision(verdict=VERDICT_BLOCK))
    now_us = int(START.timestamp()) * 1_000_000
    held = Search("demo", states=(CASE_STATE_CLAIMED,), now_us=now_us)
    async with home.open() as recorder:
        await recorder.append(claim)
        assert found(home, held) == [1]
        assert found(home, replace(held, words=GHOSTS.words)) == [1]
        assert found(home, replace(held, now_us=now_us + 900_000_000)) == []
        await recorder.append(change)
    assert found(home, replace(GHOSTS, verdicts=(VERDICT_BLOCK,))) == [1]
    assert found(home, held) == []


async def test_beside_a_gateway(home: Home) -> None:
    """The task of a gateway indexes what becomes full, and ends with it."""
    await fill_block(home, 1)
    async with home.open(), indexing(home.store):
        await until(lambda: bool(home.sql("SELECT 1 FROM case_blocks")))
    assert found(home, GHOSTS) == [1]


def test_decisions_come_first() -> None:
    """While many are recorded the index waits, and goes on when there are fewer."""
    pace = Pace()
    asked = [(0.0, 10_000), (1.0, 10_000), (2.0, 10_000 + MOST_RECORDED), (3.0, 12_000), (3.1, 12_100)]
    assert [pace.busy(*each) for each in asked] == [False, False, False, True, True]
    assert not pace.busy(5.0, 12_200)


async def test_a_store_that_goes_away(home: Home) -> None:
    """The task goes on once the store is back."""
    await fill_block(home, 1)
    away = home.store.with_name("away.db")
    async with open_indexer(home.store) as each:
        home.store.rename(away)
        task = asyncio.create_task(each.run(0.01))
        await asyncio.sleep(0.05)
        assert not task.done()
        away.rename(home.store)
        await until(lambda: bool(home.sql("SELECT 1 FROM case_blocks")))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
