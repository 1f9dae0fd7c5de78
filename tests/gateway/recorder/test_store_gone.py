"""A record whose database is gone takes nothing more, and nothing is lost in a file without a name."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.database import StoreError
from ostiary_gateway.store.evidence_keys import KeyMemory

Decision = Callable[..., NewDecision]


def gone(store: Path) -> None:
    store.rename(store.with_suffix(".away"))


def empty(store: Path) -> None:
    gone(store)
    store.touch()


def copied(store: Path) -> None:
    gone(store)
    shutil.copy(store.with_suffix(".away"), store)


@pytest.mark.parametrize("lose", [gone, empty, copied])
async def test_gone(home: Any, decision: Decision, lose: Callable[[Path], None]) -> None:
    """Renamed, emptied or exchanged under a gateway: nothing is acknowledged or read, until it is back."""
    async with home.open() as recorder:
        await recorder.record(decision(0))
        lose(home.store)
        for number in (1, 2, 3):
            assert await failure(recorder.record(decision(number))) is Reason.STORE_UNAVAILABLE
            assert await failure(recorder.get("demo", decision(0).check_id)) is Reason.STORE_UNAVAILABLE
        home.store.with_suffix(".away").rename(home.store)
        await recorder.record(decision(4))
        assert await recorder.get("demo", decision(4).check_id) is not None
    assert home.audit().decisions == 2


async def failure(call: Awaitable[object]) -> Reason:
    with pytest.raises(OstiaryError) as caught:
        await call
    return caught.value.reason


async def test_a_database_is_not_made_anew(home: Any, decision: Decision) -> None:
    """A gateway that lost it does not leave an empty one for its next start."""
    async with home.open() as recorder:
        await recorder.record(decision(0))
        gone(home.store)
        for number in (1, 2):
            with pytest.raises(OstiaryError):
                await recorder.record(decision(number))
        assert not home.store.exists()
        home.store.with_suffix(".away").rename(home.store)


async def test_the_evidence_s_key(home: Any) -> None:
    """The first is remembered; without it others are refused in words, unless it is said to be lost."""
    async with home.open():
        pass
    memory = KeyMemory(home.store)
    for _ in range(2):
        memory.take_file([b"12345678"])
    with pytest.raises(StoreError, match=r"restore that one; if it is lost for good, set evidence\.new_key"):
        memory.take_file([b"87654321"])
    memory.take_file([b"87654321"], new=True)
    memory.take_file([b"87654321"])
    memory.take_file([b"newestof", b"87654321"])
    assert memory.known().file == b"newestof", "it is what is sealed under from now on"
    with pytest.raises(StoreError, match="restore that one"):
        memory.take_file([b"87654321"])
