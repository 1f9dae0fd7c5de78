"""An erased record is in order with its tombstone, and tampering without."""

from collections.abc import Callable
from typing import Any

import pytest

from ostiary.cli.audit.problem import Tampered
from ostiary.v1.record_pb2 import EventComment, EventErasure, EventRecord

BLANK = (
    "UPDATE decisions SET caller = '', idempotency_key = '', request_sha256 = x'', salt = x'', record = x''"
)


def event(number: int, kind: str, **more: Any) -> EventRecord:
    check_id = f"0193568a-0000-7000-8000-{number:012d}"
    return EventRecord(check_id=check_id, tenant="demo", actor="spiffe://x/y", kind=kind, **more)


async def erased(home: Any, number: int = 1) -> None:
    """Five decisions; one of them with a comment, and erased with it."""
    await home.fill(5)
    async with home.open() as recorder:
        await recorder.append(event(number, "commented", comment=EventComment(text="rang")))
        await recorder.append(event(number, "erased", erasure=EventErasure(log_index=number, events=[5])))
    home.sql(f"{BLANK} WHERE log_index = {number}")
    home.sql("UPDATE case_events SET salt = x'', record = x'' WHERE log_index = 5")


async def test_with_its_tombstone(home: Any) -> None:
    """The entries stand, what they stood for is gone, and the log says why."""
    await erased(home)
    assert home.audit().decisions == 5
    assert home.audit(with_store=False).checkpoint.size == 7


async def test_a_tombstone_before_its_work_is_done(home: Any) -> None:
    """A gateway that was killed between the two has changed nothing that an audit minds."""
    await home.fill(3)
    async with home.open() as recorder:
        await recorder.append(event(1, "erased", erasure=EventErasure(log_index=1)))
    assert home.audit().decisions == 3


CHANGES: dict[str, tuple[str, ...]] = {
    "another decision blank": (f"{BLANK} WHERE log_index = 2",),
    "a blank one exchanged for another": (
        f"{BLANK} WHERE log_index = 2",
        "UPDATE decisions SET check_id = 'x' WHERE log_index = 1",
        "UPDATE decisions SET check_id = '0193568a-0000-7000-8000-000000000001' WHERE log_index = 2",
    ),
    "its tombstone blank": ("UPDATE case_events SET salt = x'', record = x'' WHERE log_index = 6",),
    "its tombstone gone": ("DELETE FROM case_events WHERE log_index = 6",),
    "its tombstone altered": ("UPDATE case_events SET record = x'0a0178' WHERE log_index = 6",),
    "its row gone": ("DELETE FROM decisions WHERE log_index = 1",),
    "a salt left": ("UPDATE decisions SET salt = zeroblob(32) WHERE log_index = 1",),
    "another record": ("UPDATE decisions SET record = x'0a0178' WHERE log_index = 1",),
    "somebody made its caller": ("UPDATE decisions SET caller = 'spiffe://x/y' WHERE log_index = 1",),
    "another time": ("UPDATE decisions SET created_us = created_us + 1 WHERE log_index = 1",),
    "another time of its comment": ("UPDATE case_events SET created_us = 1 WHERE log_index = 5",),
}


@pytest.mark.parametrize("statements", CHANGES.values(), ids=CHANGES.keys())
async def test_no_way_to_hide_behind_it(home: Any, statements: tuple[str, ...]) -> None:
    """What was not erased cannot be passed off as erased, nor can what was be filled with something else."""
    await erased(home)
    home.audit()
    for statement in statements:
        home.sql(statement)
    with pytest.raises(Tampered):
        home.audit()


async def test_events_that_no_tombstone_names(home: Any) -> None:
    """Who looked at an erased check stays on record: blanking it is seen."""
    await home.fill(3)
    async with home.open() as recorder:
        await recorder.append(event(1, "viewed"))
        await recorder.append(event(1, "erased", erasure=EventErasure(log_index=1)))
    home.sql("UPDATE case_events SET salt = x'', record = x'' WHERE log_index = 3")
    with pytest.raises(Tampered, match=r"entry 3 .* no tombstone says why"):
        home.audit()


async def test_the_command_says_so(home: Any, audit_command: Callable[..., Any]) -> None:
    """Exit codes and words of `ostiary audit verify`."""
    await erased(home)
    assert audit_command(home.root).code == 0
    home.sql(f"{BLANK} WHERE log_index = 3")
    told = audit_command(home.root)
    assert told.code == 1
    assert "what entry 3 stands for is gone, and no tombstone says why" in told.err
