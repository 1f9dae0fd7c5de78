"""`ostiary audit verify` as people and programs call it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ostiary.cli.audit.locate import locate
from ostiary.cli.audit.verify import Audit
from ostiary.tlog.keys import create_log_key
from ostiary_gateway.recorder import NewDecision
from ostiary_gateway.store.folder import LogFolder

Decision = Callable[..., NewDecision]
Command = Callable[..., Any]


@pytest.fixture
async def filled(home: Any, decision: Decision) -> Any:
    """A gateway's folder with five decisions."""
    async with home.open() as recorder:
        for i in range(5):
            await recorder.record(decision(i))
    return home


async def test_a_stack(filled: Any, audit_command: Command) -> None:
    """The folder that `ostiary up` makes has all that is needed: log, key and store."""
    told = audit_command(filled.root)
    assert told.code == 0
    assert "5 entries, signed and complete; 5 decisions in the store match" in told.out


async def test_a_published_log(filled: Any, audit_command: Command) -> None:
    """A log taken away needs the key of whoever runs it, as a file or as text."""
    vkey = filled.gateway / "log.vkey"
    for key in (vkey, vkey.read_text().strip()):
        told = audit_command(filled.log, "--vkey", key)
        assert told.code == 0
        assert "store" not in told.out
    assert audit_command(filled.log, "--vkey", vkey, "--store", filled.store).code == 0


async def test_json(filled: Any, audit_command: Command) -> None:
    """One object for programs, in order or not."""
    found = audit_command(filled.root, "--json").json
    assert (found["ok"], found["size"], found["decisions"]) == (True, 5, 5)
    assert found["checkpoint"].startswith("ostiary.local/log\n5\n")
    filled.sql("UPDATE decisions SET tenant = 'other' WHERE log_index = 3")
    told = audit_command(filled.root, "--json")
    assert told.code == 1
    assert told.json["ok"] is False
    assert told.json["entry"] == 3
    assert "column tenant of entry 3" in told.json["problem"]


async def test_tampered(filled: Any, audit_command: Command) -> None:
    """People are told which entry it is, on standard error."""
    filled.sql("UPDATE decisions SET record = x'00' WHERE log_index = 3")
    told = audit_command(filled.root)
    assert (told.code, told.out) == (1, "")
    assert "TAMPERED" in told.err
    assert "entry 3" in told.err


async def test_remembering(filled: Any, decision: Decision, audit_command: Command, tmp_path: Path) -> None:
    """What was verified once is held against every later log."""
    kept = tmp_path / "kept"
    assert audit_command(filled.root, "--remember", kept).code == 0
    first = kept.read_text()
    assert first == (filled.log / "checkpoint").read_text()
    async with filled.open() as recorder:
        await recorder.record(decision(7))
    assert audit_command(filled.root, "--remember", kept, "--checkpoint", kept).code == 0
    assert kept.read_text() != first
    (filled.log / "checkpoint").write_text(first)
    for option in ("--remember", "--checkpoint"):
        told = audit_command(filled.log, "--vkey", filled.gateway / "log.vkey", option, kept)
        assert told.code == 1
    assert kept.read_text() != first


def test_an_empty_stack(home: Any, audit_command: Command) -> None:
    """A gateway that has never started has no store to compare; that is said, not passed over."""
    told = audit_command(home.root)
    assert told.code == 2
    assert "ostiary.db is not a file" in told.err


async def test_nothing_recorded_yet(home: Any, audit_command: Command) -> None:
    """A gateway that has decided nothing is in order."""
    async with home.open():
        pass
    told = audit_command(home.root)
    assert told.code == 0
    assert "0 entries" in told.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{tmp}"], "neither a published log nor a directory made by"),
        (["{tmp}/missing"], "neither a published log nor a directory made by"),
        (["{log}"], "say which key to trust: --vkey"),
        (["{log}", "--vkey", "nonsense"], "--vkey is neither a file nor a verifier key"),
        (["{log}", "--vkey", "{log}/checkpoint"], "the verifier key cannot be read"),
        (["{root}", "--store", "{tmp}/missing"], "is not a file: name the gateway's database"),
        (["{root}", "--checkpoint", "{tmp}/missing"], "is not a checkpoint of ostiary.local/log"),
        (["{root}", "--remember", "{tmp}/missing/kept"], "cannot be kept"),
    ],
    ids=[
        "other-folder",
        "no-folder",
        "no-key",
        "bad-key",
        "no-key-file",
        "no-store",
        "no-checkpoint",
        "no-room",
    ],
)
async def test_usage(
    filled: Any, audit_command: Command, tmp_path: Path, arguments: list[str], words: str
) -> None:
    """What cannot be audited ends with 2 and says what to give instead."""
    places = {"tmp": tmp_path, "log": filled.log, "root": filled.root}
    told = audit_command(*(argument.format(**places) for argument in arguments))
    assert told.code == 2
    assert words in told.err


async def test_another_key(filled: Any, audit_command: Command, tmp_path: Path) -> None:
    """The key given is the key trusted, even for a stack that has one of its own."""
    create_log_key(tmp_path / "log.key", "ostiary.local/log")
    told = audit_command(filled.root, "--vkey", tmp_path / "log.vkey")
    assert told.code == 1
    assert "not signed exactly once by" in told.err


async def test_while_the_gateway_runs(home: Any, decision: Decision) -> None:
    """An audit of a log that grows meanwhile verifies, and reaches what was recorded when it began."""
    async with home.open(publish_interval=0.002) as recorder:
        for i in range(20):
            await recorder.record(decision(i))
        target = locate(home.root, None, None)
        audit = Audit(target, [], patience=30, progress=lambda done, total: None)
        auditing = asyncio.create_task(asyncio.to_thread(audit.run))
        recorded = 20
        while not auditing.done():
            await asyncio.gather(*(recorder.record(decision(i)) for i in range(recorded, recorded + 10)))
            recorded += 10
        verified = await auditing
    assert 20 <= verified.decisions <= recorded
    assert home.audit().decisions == recorded


async def test_a_gateway_that_is_about_to_publish(
    home: Any, decision: Decision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audit waits for records that are not published yet, for as long as it is told to."""
    with monkeypatch.context() as patch:

        def no_room(folder: LogFolder, note: str) -> None:
            raise OSError("no room")

        patch.setattr(LogFolder, "write_checkpoint", no_room)
        async with home.open() as recorder:
            await recorder.record(decision(1))
    with pytest.raises(Exception, match="only 0 are published"):
        home.audit()
    target = locate(home.root, None, None)
    audit = Audit(target, [], patience=30, progress=lambda done, total: None)
    auditing = asyncio.create_task(asyncio.to_thread(audit.run))
    async with home.open():
        assert (await auditing).decisions == 1
