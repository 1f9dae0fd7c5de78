"""Which step comes next: tables of small situations, and what must hold in all of them. Time is virtual."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ostiary_moderation.engines.qwen3_vl.scheduler import Decode, Prefill, Scheduler


@dataclass(eq=False)
class Item:
    """A sequence: so many tokens of one kind; `words` left to describe it with."""

    name: str
    key: str = "a"
    tokens: int = 10
    words: int = 0
    deadline: float | None = None
    cancelled: bool = False
    row: int | None = None
    answers: int = 0
    written: list[str] = field(default_factory=list)

    @property
    def wants_row(self) -> bool:
        return self.words > 0


def names(step: Prefill[Item] | Decode[Item] | None) -> str:
    """A step in short: P or D and who is in it."""
    if step is None:
        return "-"
    return ("P:" if isinstance(step, Prefill) else "D:") + "".join(item.name for item in step.sequences)


def take(scheduler: Scheduler[Item], seconds: float = 1.0) -> str:
    """Carries the next step out and says what it was."""
    scheduler.compact()
    step = scheduler.next()
    if step is not None:
        scheduler.done(step, seconds)
    return names(step)


@pytest.mark.parametrize(
    ("line", "rows", "budget", "expected"),
    [
        pytest.param([Item("a"), Item("b")], 0, 100, "P:ab", id="equal ones share a pass"),
        pytest.param([Item("a"), Item("b", "x"), Item("c")], 0, 100, "P:ac", id="others wait for theirs"),
        pytest.param([Item("a"), Item("b"), Item("c")], 0, 25, "P:ab", id="within the budget"),
        pytest.param([Item("a", tokens=99), Item("b")], 0, 25, "P:a", id="a long one goes alone"),
        pytest.param(
            [Item("a", words=1), Item("b", words=1), Item("c")], 1, 100, "P:ac", id="descriptions need rows"
        ),
        pytest.param([Item("a", words=1), Item("b")], 0, 100, "P:b", id="and hold up nobody without them"),
        pytest.param([], 4, 100, "-", id="nothing to do"),
    ],
)
def test_a_batch(line: list[Item], rows: int, budget: int, expected: str) -> None:
    """Who shares the next forward pass."""
    scheduler: Scheduler[Item] = Scheduler(rows, budget)
    scheduler.add(line)
    assert take(scheduler) == expected


def test_a_decode_step_follows_every_prefill() -> None:
    """However many wait: descriptions go on between their passes."""
    scheduler: Scheduler[Item] = Scheduler(2, 10, decode_share=0.0)
    scheduler.add([Item("a", words=9), *(Item(name) for name in "bcd")])
    assert [take(scheduler) for _ in range(6)] == ["P:a", "D:a", "P:b", "D:a", "P:c", "D:a"]


def test_decoding_has_its_share_of_the_time() -> None:
    """Half a second of steps for a second of prefill, then whoever waits."""
    scheduler: Scheduler[Item] = Scheduler(2, 10, decode_share=0.5)
    scheduler.add([Item("a", words=9), Item("b"), Item("c")])
    assert take(scheduler, 1.0) == "P:a"
    assert [take(scheduler, 0.2) for _ in range(4)] == ["D:a", "D:a", "D:a", "P:b"]


def test_what_is_owed_is_forgotten_when_nobody_decodes() -> None:
    """Prefills that describe nothing leave no debt behind."""
    scheduler: Scheduler[Item] = Scheduler(2, 10)
    scheduler.add([Item("a"), Item("b"), Item("c", words=3), Item("d")])
    assert [take(scheduler, 5.0) for _ in range(4)] == ["P:a", "P:b", "P:c", "D:c"]


def test_gaps_are_closed_from_the_end() -> None:
    """The last row moves into the first gap; the others stay."""
    scheduler: Scheduler[Item] = Scheduler(8, 100)
    items = [Item(name, words=5) for name in "abcde"]
    scheduler.add(items)
    take(scheduler)
    for index in (1, 4, 2):
        scheduler.leave(items[index])
    assert [(move.source, move.target) for move in scheduler.compact()] == [(3, 1)]
    assert [item.row for item in items] == [0, None, None, 1, None]
    assert names(scheduler.next()) == "D:ad"


def test_out_of_memory_halves_a_batch_until_it_fits() -> None:
    """Halves come before anybody else; a single sequence that fails leaves, and its row with it."""
    scheduler: Scheduler[Item] = Scheduler(8, 100)
    items = [Item(name, words=1) for name in "abcd"]
    scheduler.add(items)
    step = scheduler.next()
    scheduler.add([Item("z")])
    assert step is not None
    assert scheduler.split(step)
    first = scheduler.next()
    assert names(first) == "P:ab"
    assert first is not None
    assert scheduler.split(first)
    alone = scheduler.next()
    assert names(alone) == "P:a"
    assert alone is not None
    assert not scheduler.split(alone)
    assert items[0].row is None
    assert [take(scheduler) for _ in range(4)] == ["P:b", "P:cd", "D:dbc", "P:z"]  # d closed a's gap


def test_halves_of_a_decode_step_keep_their_rows() -> None:
    """Nothing moves before the second half has had its token."""
    scheduler: Scheduler[Item] = Scheduler(8, 100)
    items = [Item(name, words=3) for name in "abc"]
    scheduler.add(items)
    take(scheduler)
    step = scheduler.next()
    assert isinstance(step, Decode)
    assert scheduler.split(step)
    first = scheduler.next()
    assert (names(first), first.first) == ("D:a", 0)  # type: ignore[union-attr]
    scheduler.leave(items[0])
    assert scheduler.compact() == []
    second = scheduler.next()
    assert (names(second), second.first) == ("D:bc", 1)  # type: ignore[union-attr]
    assert [(move.source, move.target) for move in scheduler.compact()] == [(2, 0)]


def test_the_expired_and_the_cancelled_leave_at_once() -> None:
    """From the line, from a half that waits, and from their rows."""
    scheduler: Scheduler[Item] = Scheduler(8, 40)
    running, late = Item("r", words=5), Item("l", words=5, deadline=7.0)
    scheduler.add([running, late, Item("x"), Item("y", deadline=9.0)])
    step = scheduler.next()
    assert step is not None
    assert scheduler.split(step)
    waiting = Item("w", "other", deadline=3.0)
    scheduler.add([waiting])
    running.cancelled = True
    assert {item.name for item in scheduler.sweep(now=8.0)} == {"r", "l", "w"}
    assert [take(scheduler) for _ in range(3)] == ["P:xy", "-", "-"]
    assert scheduler.running == scheduler.waiting == 0


class Life(RuleBasedStateMachine):
    """Sequences come, are looked at, described, cancelled and late, and memory runs out now and then."""

    ROWS, BUDGET = 3, 40

    def __init__(self) -> None:
        super().__init__()
        self.scheduler: Scheduler[Item] = Scheduler(self.ROWS, self.BUDGET)
        self.now = 0.0
        self.items: list[Item] = []
        self.gone: list[Item] = []
        self.slots: dict[int, str] = {}  # what each row's memory holds
        self.between: list[Item] = []  # looked at since the last decode step, with rows in use

    @rule(
        key=st.sampled_from("ab"),
        tokens=st.integers(1, 50),
        words=st.integers(0, 3),
        life=st.one_of(st.none(), st.floats(0, 20)),
    )
    def come(self, key: str, tokens: int, words: int, life: float | None) -> None:
        """Equal keys are equally long."""
        item = Item(str(len(self.items)), f"{key}{tokens}", tokens, words)
        item.deadline = None if life is None else self.now + life
        self.items.append(item)
        self.scheduler.add([item])

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Any of them, at any time."""
        data.draw(st.sampled_from(self.items)).cancelled = True

    @rule(seconds=st.floats(0.01, 3), memory=st.integers(0, 5))
    def step(self, seconds: float, memory: int) -> None:
        """One turn of the engine, with memory for so many sequences; 0: for all."""
        self.gone += self.scheduler.sweep(self.now)
        for move in self.scheduler.compact():
            self.slots[move.target] = self.slots.pop(move.source)
        rows = self.scheduler.running
        step = self.scheduler.next()
        self.now += seconds
        if step is None:
            assert self.scheduler.waiting == 0
            return
        if memory and len(step.sequences) > memory:
            assert self.scheduler.split(step)
            return
        if isinstance(step, Prefill):
            assert len({item.key for item in step.sequences}) == 1
            total = sum(item.tokens for item in step.sequences)
            assert total <= self.BUDGET or len(step.sequences) == 1
            self.between += step.sequences if rows else ()
            self.prefill(step)
        else:
            self.between = []
            self.decode(step)
        self.scheduler.done(step, seconds)

    def prefill(self, step: Prefill[Item]) -> None:
        for item in step.sequences:
            item.answers += 1
            if item.row is not None:
                assert item.words
                self.slots[item.row] = item.name

    def decode(self, step: Decode[Item]) -> None:
        for offset, item in enumerate(step.sequences):
            if item.row is None:
                continue  # it left while its half waited
            assert item.row == step.first + offset
            assert self.slots[item.row] == item.name  # its own memory, wherever it moved
            item.words -= 1
            if item.words == 0:
                self.scheduler.leave(item)

    @invariant()
    def rows_are_within_bounds_and_no_one_shares(self) -> None:
        rows = [item.row for item in self.items if item.row is not None]
        assert len(set(rows)) == len(rows) <= self.ROWS
        assert all(row < self.ROWS for row in rows)

    @invariant()
    def nobody_is_answered_twice(self) -> None:
        assert all(item.answers <= 1 for item in self.items)
        assert len({id(item) for item in self.gone}) == len(self.gone)

    @invariant()
    def decoding_is_not_starved(self) -> None:
        """With rows in use, at most one batch, in however many parts, stands between two of their tokens."""
        assert len(self.between) <= 1 or sum(item.tokens for item in self.between) <= self.BUDGET

    def teardown(self) -> None:
        """Left to itself, everybody is answered or gone, and every row is free."""
        for _ in range(20 * len(self.items) + 20):
            self.step(1.0, 0)
        assert self.scheduler.waiting == self.scheduler.running == 0
        gone = {id(item) for item in self.gone}
        for item in self.items:
            assert item.row is None
            assert item.answers == 1 or id(item) in gone
            assert item.words == 0 or id(item) in gone


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
