"""A log that takes its process down, before or behind one of its events."""

import os
import random
import signal

from ostiary.v1.record_pb2 import EventRecord
from ostiary_gateway.case_log import CaseLog, RecordedEvent

LOGGED, UNLOGGED, NEVER = "logged", "unlogged", "never"
_MOST_VIEWS_BEFORE = 8


class DeadlyLog:
    """A `CaseLog` that ends its process at one of the first events."""

    def __init__(self, log: CaseLog, word: str) -> None:
        self._log = log
        self._word = word
        # Which view it is need not be secret, only spread.
        self._left = random.randrange(1, _MOST_VIEWS_BEFORE)

    async def append(self, event: EventRecord, *, after: int | None = None) -> RecordedEvent:
        """See `CaseLog.append`."""
        self._left -= 1
        last = self._left == 0
        if self._word == UNLOGGED and last:
            os.kill(os.getpid(), signal.SIGKILL)
        recorded = await self._log.append(event, after=after)
        if self._word == LOGGED and last:
            os.kill(os.getpid(), signal.SIGKILL)
        return recorded
