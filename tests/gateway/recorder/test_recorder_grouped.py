"""Look-ups that wait share a query, and each gets what it would have got alone."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from ostiary_gateway.store.grouped import GroupedLookups


class Table:
    """What is looked up in, and when a query ends."""

    def __init__(self, rows: Mapping[str, int]) -> None:
        self.rows = dict(rows)
        self.asked: list[set[str]] = []
        self.held: list[asyncio.Event] = []
        self.fails = False

    async def ask(self, keys: Collection[str]) -> Mapping[str, int]:
        self.asked.append(set(keys))
        held = asyncio.Event()
        self.held.append(held)
        found = {key: self.rows[key] for key in keys if key in self.rows}
        await held.wait()
        if self.fails:
            raise OSError("the database is gone")
        return found

    def release(self) -> None:
        for held in self.held:
            held.set()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_waits_goes_into_one_query() -> None:
    """One query for those that came while it could not be asked; the same key twice is asked once."""
    table = Table({"a": 1, "b": 2, "c": 3})
    lookups = GroupedLookups(table.ask, at_once=1)
    first = asyncio.create_task(lookups.get("a"))
    await settle()
    rest = [asyncio.create_task(lookups.get(key)) for key in ("b", "c", "nothing", "b")]
    await settle()
    assert table.asked == [{"a"}]
    table.release()
    await settle()
    table.release()
    assert await asyncio.gather(first, *rest) == [1, 2, 3, None, 2]
    assert table.asked == [{"a"}, {"b", "c", "nothing"}]


async def test_a_key_is_looked_up_after_it_was_asked_for() -> None:
    """What was written between two look-ups of a key is found by the second, though the first still runs."""
    table = Table({})
    lookups = GroupedLookups(table.ask, at_once=1)
    before = asyncio.create_task(lookups.get("a"))
    await settle()
    table.rows["a"] = 1
    after = asyncio.create_task(lookups.get("a"))
    await settle()
    table.release()
    await settle()
    table.release()
    assert (await before, await after) == (None, 1)


@pytest.mark.parametrize(("keys", "most", "queries"), [(5, 2, 3), (4, 4, 1), (1, 9, 1)])
async def test_groups_have_a_bound(keys: int, most: int, queries: int) -> None:
    """No query asks for more keys than it may."""
    table = Table({})
    lookups = GroupedLookups(table.ask, at_once=1, most=most)
    waiting = [asyncio.create_task(lookups.get(str(key))) for key in range(keys)]
    for _ in range(queries):
        await settle()
        table.release()
    await asyncio.gather(*waiting)
    assert len(table.asked) == queries
    assert max(map(len, table.asked)) <= most


async def test_one_that_hangs_holds_up_only_its_own() -> None:
    """A second query is asked beside it, and those behind go with that one."""
    table = Table({"b": 2, "c": 3})
    lookups = GroupedLookups(table.ask, at_once=2)
    hangs = asyncio.create_task(lookups.get("a"))
    await settle()
    second = asyncio.create_task(lookups.get("b"))
    await settle()
    third = asyncio.create_task(lookups.get("c"))
    table.held[1].set()
    await settle()
    table.held[2].set()
    assert (await second, await third) == (2, 3)
    assert not hangs.done()
    hangs.cancel()


async def test_a_failure_is_everyones_of_its_query_and_nobody_elses() -> None:
    """Whoever waits on the query hears it, the next one is asked anew; one who has gone is no trouble."""
    table = Table({"a": 1})
    lookups = GroupedLookups(table.ask, at_once=1)
    table.fails = True
    waiting = [asyncio.create_task(lookups.get(key)) for key in ("a", "b", "gone")]
    await settle()
    waiting[2].cancel()
    table.release()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in results] == [OSError, OSError, asyncio.CancelledError]
    table.fails = False
    again = asyncio.create_task(lookups.get("a"))
    await settle()
    table.release()
    assert await again == 1


@pytest.mark.parametrize("at_once", [1, 2])
async def test_whoever_asks_as_a_query_ends_is_answered(at_once: int) -> None:
    """The moment between the last answer of a query and its end is no moment to get lost in."""

    async def ask(keys: Collection[str]) -> Mapping[str, int]:
        return {key: len(key) for key in keys}

    lookups = GroupedLookups(ask, at_once=at_once)

    async def ask_twice(key: str) -> int | None:
        await lookups.get(key)
        return await lookups.get(key * 2)

    async with asyncio.timeout(5):
        assert await asyncio.gather(*(ask_twice("k" * each) for each in range(1, 4))) == [2, 4, 6]
