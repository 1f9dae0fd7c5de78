"""Promise 15 with few keys: two real gateway processes over one store, stopped and gone on with."""

import asyncio
from pathlib import Path

import pytest

from bench.promises.idempotent import Asked, Progress, Tally, ask_keys, prove, set_up

ONE = frozenset({"check"})


def test_one_verdict_per_key_across_two_gateways(tmp_path: Path) -> None:
    """Every caller is answered with one verdict per key, also after the gateways have gone and come back."""
    folder = tmp_path / "prove"
    set_up(folder)
    progress, tally = Progress(folder, "code"), Tally()
    asyncio.run(ask_keys(progress, tally, keys=2, retries=12, seconds=600))
    assert tally.keys == 2
    short, verdicts, keys = prove(folder, "code", keys=100_000, retries=12, seconds=0)
    assert 2 < short.keys < 100_000
    assert verdicts == keys == short.keys
    asked = short.keys + 3
    done, verdicts, keys = prove(folder, "code", keys=asked, retries=12, seconds=600)
    assert (done.keys, done.answers, verdicts, keys) == (asked, 12 * asked, asked, asked)
    assert (done.several, done.failed, done.another) == (0, 0, 0)
    assert asked <= done.looks <= 2 * asked, "at most one look per key and gateway"
    assert not folder.exists()


def test_progress_is_that_of_the_same_code(tmp_path: Path) -> None:
    """What other code came to is not gone on with, nor what is too old for its certificates."""
    progress = Progress(tmp_path, "code")
    assert progress.load() is None
    progress.save(Tally(keys=7))
    assert Progress(tmp_path, "code").load() == Tally(keys=7)
    assert Progress(tmp_path, "other").load() is None
    progress._began -= 6_000
    progress.save(Tally(keys=8))
    assert Progress(tmp_path, "code").load() is None


@pytest.mark.parametrize(
    ("asked", "wrong"),
    [
        (Asked(ONE, 5, 1, 0, True), (0, 0, 0)),
        (Asked(ONE, 5, 0, 0, True), (0, 0, 0)),
        (Asked(ONE | {"other"}, 5, 1, 0, True), (1, 0, 0)),
        (Asked(ONE, 5, 2, 0, True), (1, 0, 0)),
        (Asked(frozenset(), 0, 0, 5, True), (1, 5, 0)),
        (Asked(ONE, 4, 1, 1, False), (0, 1, 1)),
    ],
    ids=["as it should be", "recorded before", "two verdicts", "decided twice", "no answer", "key not taken"],
)
def test_what_counts_as_wrong(asked: Asked, wrong: tuple[int, int, int]) -> None:
    """A key with two verdicts or none, a caller without an answer, another request that got through."""
    tally = Tally()
    tally.add(asked)
    assert (tally.several, tally.failed, tally.another) == wrong
