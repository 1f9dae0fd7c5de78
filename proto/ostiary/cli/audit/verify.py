"""The audit itself: a log, what was trusted of it before, and the store behind it."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ostiary.cli.audit.database import open_database
from ostiary.cli.audit.locate import Target
from ostiary.cli.audit.problem import Tampered
from ostiary.cli.audit.store import StoreCheck
from ostiary.cli.audit.strays import strays
from ostiary.cli.audit.walk import LogWalk, Step
from ostiary.tlog.checkpoint import Checkpoint
from ostiary.tlog.merkle import EMPTY_ROOT

_POLL = 0.1  # seconds between looks at a log that a gateway is publishing to
_REPORT_EVERY = 256

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Verified:
    """What was found in order: the newest checkpoint, its note ("" for an empty log), and how many decisions
    and events of the store were compared."""

    checkpoint: Checkpoint
    note: str
    decisions: int
    events: int


class Audit:
    """One audit. A gateway may go on recording and publishing meanwhile."""

    def __init__(
        self, target: Target, trusted: Sequence[Checkpoint], *, patience: float, progress: Progress
    ) -> None:
        """`trusted` were verified earlier; `patience` is how many seconds a gateway may take to publish what
        it has recorded; `progress` is told of entries done and of all."""
        self._target = target
        self._trusted = {checkpoint.size: checkpoint for checkpoint in trusted}
        self._patience = patience
        self._progress = progress
        self._walk = LogWalk(target.log, target.key)
        self._head, self._note = Checkpoint(target.key.name, 0, EMPTY_ROOT), ""
        self._store: StoreCheck | None = None

    def run(self) -> Verified:
        """Verify everything. Raises Tampered at the first thing that is not in order, and UsageError."""
        with ExitStack() as stack:
            self._look()
            if self._target.store is not None:
                database = stack.enter_context(open_database(self._target.store))
                self._store = StoreCheck(database, self._target.key)
                self._store.check_whole()
            self._advance()
            self._catch_up(self._store.size if self._store else 0)
            self._expect_tombstones()
            self._expect_no_strays()
        self._check_trusted_reached()
        decisions = self._store.decisions if self._store else 0
        return Verified(self._head, self._note, decisions, self._head.size - decisions if self._store else 0)

    def _look(self) -> bool:
        """Read the published checkpoint; whether it is a newer one."""
        found = self._walk.head()
        if found is None or found[0] == self._head:
            return False
        self._head, self._note = found
        return True

    def _advance(self) -> None:
        """Walk to the checkpoint last read, and compare with the store as it is now."""
        if self._store:
            self._store.refresh(self._walk.tree.size)
            if self._store.size < self._head.size:
                raise Tampered(
                    f"{self._head.size} entries are published, but the store has {self._store.size}: "
                    "records are missing",
                    self._store.size,
                )
        for step in self._walk.advance(self._head):
            self._check(step)

    def _check(self, step: Step) -> None:
        if self._store:
            self._store.check(step)
        trusted = self._trusted.get(step.tree.size)
        if trusted and trusted.root != step.tree.root():
            raise Tampered(
                f"the first {trusted.size} entries are not those of the checkpoint trusted before: "
                "history was rewritten"
            )
        if step.tree.size % _REPORT_EVERY == 0 or step.tree.size == self._head.size:
            self._progress(step.tree.size, self._head.size)

    def _catch_up(self, target: int) -> None:
        """Give the gateway time to publish what the store already held when the audit began."""
        deadline = time.monotonic() + self._patience
        while self._head.size < target:
            if self._look():
                self._advance()
            elif time.monotonic() > deadline:
                raise Tampered(
                    f"the store has {target} records, but only {self._head.size} are published: the log was "
                    "rolled back, or the gateway stopped before it published them; start the gateway, and "
                    "verify again",
                    self._head.size,
                )
            else:
                time.sleep(_POLL)

    def _expect_tombstones(self) -> None:
        """What is gone from the store was erased; a tombstone that is just being published is waited for."""
        deadline = time.monotonic() + self._patience
        while self._store and (entry := self._store.unexplained) is not None:
            if self._look():
                self._advance()
            elif time.monotonic() > deadline:
                raise Tampered(f"what entry {entry} stands for is gone, and no tombstone says why", entry)
            else:
                time.sleep(_POLL)

    def _expect_no_strays(self) -> None:
        """Files of entries that are just being published are waited for; others have no business there.

        Those that are there at the first look: where much is recorded, others come all the time.
        """
        deadline = time.monotonic() + self._patience
        left = set(strays(self._walk, self._head.size))
        while left:
            if self._look():
                self._advance()
            elif time.monotonic() > deadline:
                raise Tampered(f"{min(left)} does not belong to a log of {self._head.size} entries")
            else:
                time.sleep(_POLL)
            left &= set(strays(self._walk, self._head.size))

    def _check_trusted_reached(self) -> None:
        longest = max(self._trusted, default=0)
        if longest > self._head.size:
            raise Tampered(
                f"the log has {self._head.size} entries, but had {longest} before: it was cut short",
                self._head.size,
            )
