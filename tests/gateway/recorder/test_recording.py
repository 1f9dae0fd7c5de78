"""What the recorder promises its callers."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.recorder.conftest import Home, make_home
from ostiary.tlog.checkpoint import open_checkpoint
from ostiary.tlog.entry import Entry, commit
from ostiary.tlog.keys import load_verifier_key
from ostiary.tlog.merkle import leaf_hash
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.recorder import DuplicateKey, NewDecision

Decision = Callable[..., NewDecision]


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A gateway's folder, its record in either database."""
    url = request.getfixturevalue("postgres").database() if request.param == "postgresql" else ""
    return make_home(tmp_path / "stack", url)


async def test_the_receipt(home: Any, decision: Decision) -> None:
    """The receipt names the entry, and a checkpoint that the log signed over it."""
    async with home.open() as recorder:
        first = await recorder.record(decision(1))
        second = await recorder.record(decision(2))
    assert [first.receipt.log_index, second.receipt.log_index] == [0, 1]
    assert second.receipt.log_origin == "ostiary.local/log"
    assert second.receipt.policy == "default@1"
    [(data,)] = home.sql("SELECT data FROM entries WHERE log_index = 1")
    assert second.receipt.leaf_hash == leaf_hash(data)
    key = load_verifier_key(home.gateway / "log.vkey")
    assert open_checkpoint(second.receipt.checkpoint, key).size == 2


async def test_the_caller_s_answer_is_left_alone(home: Any, decision: Decision) -> None:
    """Recording fills a copy of the answer."""
    new = decision(1)
    async with home.open() as recorder:
        recorded = await recorder.record(new)
    assert new.response == decision(1).response
    recorded.receipt.Clear()
    expected = decision(1).response
    expected.receipt.Clear()
    assert recorded == expected


async def test_the_record_holds_everything(home: Any, decision: Decision) -> None:
    """All that was decided, seen and asked can be read back from the record, for audit and for replay."""
    new = decision(1, key="k1")
    async with home.open() as recorder:
        await recorder.record(new)
    [(blob, salt, created_us, data)] = home.sql(
        "SELECT record, salt, created_us, data FROM decisions JOIN entries USING (log_index)"
    )
    record = DecisionRecord.FromString(blob)
    assert (record.check_id, record.tenant, record.caller) == (new.check_id, new.tenant, new.caller)
    assert (record.idempotency_key, record.request_sha256) == ("k1", new.request_sha256)
    assert (record.listing, record.response, record.observations) == (
        new.listing,
        new.response,
        new.observations,
    )
    assert record.trace_id == new.trace_id
    entry = Entry.decode(data)
    assert record.recorded_at.ToMicroseconds() == created_us == round(entry.time.timestamp() * 1e6)
    assert entry.commitment == commit(salt, blob)


async def test_the_log_gives_nothing_away(home: Any, decision: Decision) -> None:
    """The same decision twice leaves entries that cannot be told from others, and no hash of the request."""
    async with home.open() as recorder:
        await recorder.record(decision(1))
        await recorder.record(decision(2))
    published = (home.log / "tile/entries/000.p/2").read_bytes()
    for text in (b"demo", decision(1).request_sha256, decision(1).request_sha256.hex().encode(), b"0193568a"):
        assert text not in published
    entries = [json.loads(data) for (data,) in home.sql("SELECT data FROM entries")]
    assert len({entry["commitment"] for entry in entries}) == 2
    assert all(set(entry) == {"commitment", "kind", "time", "version"} for entry in entries)


async def test_a_decision_is_found_again(home: Any, decision: Decision) -> None:
    """By key and by check, with the very receipt that the caller was given, after a restart too."""
    async with home.open() as recorder:
        given = [await recorder.record(decision(i, key=f"k{i}")) for i in range(3)]
    async with home.open() as recorder:
        for i, response in enumerate(given):
            found = await recorder.find("demo", f"k{i}")
            assert found == await recorder.get("demo", response.check_id)
            assert found is not None
            assert (found.response, found.caller) == (response, decision(i).caller)
            assert found.request_sha256 == decision(i).request_sha256


async def test_tenants_do_not_see_one_another(home: Any, decision: Decision) -> None:
    """A key and a check belong to their tenant; the same key serves another tenant anew."""
    async with home.open() as recorder:
        response = await recorder.record(decision(1, key="k"))
        assert await recorder.find("other", "k") is None
        assert await recorder.get("other", response.check_id) is None
        await recorder.record(decision(2, key="k", tenant="other"))
        assert (await recorder.find("other", "k")).response.check_id == decision(2).check_id


async def test_an_empty_key_is_no_key(home: Any, decision: Decision) -> None:
    """Decisions without a key are never duplicates of one another."""
    async with home.open() as recorder:
        assert await recorder.find("demo", "") is None
        await recorder.record(decision(1))
        await recorder.record(decision(2))
        assert await recorder.find("demo", "") is None


async def test_a_used_key(home: Any, decision: Decision) -> None:
    """The recorded answer comes back with the hash of the request that it was given to; nothing is added."""
    async with home.open() as recorder:
        given = await recorder.record(decision(1, key="k", request=b"first"))
        with pytest.raises(DuplicateKey) as caught:
            await recorder.record(decision(2, key="k", request=b"second"))
        assert caught.value.recorded == given
        assert caught.value.request_sha256 == decision(1, request=b"first").request_sha256
        assert await recorder.get("demo", decision(2).check_id) is None
    assert home.audit().checkpoint.size == 1


async def test_concurrent_retries(home: Any, decision: Decision) -> None:
    """Of 100 at once with the same key, one is recorded, and the others are told of it."""
    async with home.open() as recorder:
        tries = [recorder.record(decision(i, key=f"k{i % 3}")) for i in range(100)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
    recorded = [outcome for outcome in outcomes if isinstance(outcome, CheckResponse)]
    duplicates = [outcome for outcome in outcomes if isinstance(outcome, DuplicateKey)]
    assert (len(recorded), len(duplicates)) == (3, 97)
    assert all(duplicate.recorded in recorded for duplicate in duplicates)
    assert home.audit().checkpoint.size == 3


async def test_two_processes_worth_of_recorders(home: Any, decision: Decision) -> None:
    """Two recorders over one database keep one log, and share idempotency."""
    async with home.open() as one, home.open() as other:
        tries = [
            recorder.record(decision(i + offset, key=f"k{i % 20}"))
            for i in range(100)
            for recorder, offset in ((one, 0), (other, 1000))
        ]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
    recorded = [outcome for outcome in outcomes if isinstance(outcome, CheckResponse)]
    assert len(recorded) == 20
    assert {type(outcome) for outcome in outcomes} == {CheckResponse, DuplicateKey}
    assert sorted(response.receipt.log_index for response in recorded) == list(range(20))
    assert home.audit().checkpoint.size == 20


async def test_concurrent_decisions_share_commits(home: Any, decision: Decision) -> None:
    """What waits together is committed together, in the order in which it came."""
    async with home.open() as recorder:
        responses = await asyncio.gather(*(recorder.record(decision(i)) for i in range(100)))
    assert [response.receipt.log_index for response in responses] == list(range(100))
    assert len(home.sql("SELECT size FROM checkpoints")) < 10


async def test_a_check_is_recorded_once(home: Any, decision: Decision) -> None:
    """A check id used twice is refused, and takes none of its batch with it."""
    async with home.open() as recorder:
        await recorder.record(decision(1))
        tries = [recorder.record(decision(i)) for i in (2, 1, 3)]
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [CheckResponse, ValueError, CheckResponse]
    assert home.audit().checkpoint.size == 3


async def test_a_cancelled_caller(home: Any, decision: Decision) -> None:
    """One caller going away does not disturb those that share its batch."""
    async with home.open() as recorder:
        tasks = [asyncio.create_task(recorder.record(decision(i))) for i in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds.count(asyncio.CancelledError) == 1
    assert kinds.count(CheckResponse) == 4
    assert home.audit().checkpoint.size == 5


async def test_closing_writes_what_waits(home: Any, decision: Decision) -> None:
    """What was submitted is recorded before the record closes; nothing is taken after that."""
    async with home.open() as recorder:
        tasks = [asyncio.create_task(recorder.record(decision(i))) for i in range(600)]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks)
    assert [response.receipt.log_index for response in outcomes] == list(range(600))
    with pytest.raises(OstiaryError) as caught:
        await recorder.record(decision(601))
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert home.audit().checkpoint.size == 600
