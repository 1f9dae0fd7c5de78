"""Faults on demand: what a cluster does to its clients on a bad day.

Every fault has a probability and a share of requests that it concerns; a seed makes a run repeatable.
"""

import random
from dataclasses import dataclass, field, replace

from ostiary_operator.sandbox.api import status


@dataclass(frozen=True)
class Plan:
    """How often what goes wrong, between 0 and 1; all zero is a good day."""

    conflict: float = 0.0
    """Updates and patches answered 409 although nothing happened."""
    throttle: float = 0.0
    """Requests answered 429, with when to come back."""
    error: float = 0.0
    """Requests answered 500 or 503."""
    lost_answer: float = 0.0
    """Writes that are done and answered 500."""
    slow: float = 0.0
    """Requests that take `delay` longer."""
    drop_event: float = 0.0
    """Watch events that never arrive; the watch then breaks off, as a real one would before it lost any."""
    duplicate_event: float = 0.0
    """Watch events that arrive twice."""
    break_watch: float = 0.0
    """Watches cut off after an event."""
    gone: float = 0.0
    """Watches that are told that their version is too old."""
    silent_drop: float = 0.0
    """Watch events that never arrive while the watch goes on, as no real server may: for testing resyncs."""
    delay: float = 0.2
    """Seconds that a slow request takes."""
    retry_after: int = 1
    """Seconds after which a throttled client may come back."""


@dataclass
class Faults:
    """What goes wrong now."""

    plan: Plan = field(default_factory=Plan)
    seed: int = 0
    spared: tuple[str, ...] = ()
    """Names of callers that nothing happens to."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  # repeatable, not secret
        self.counts: dict[str, int] = {}

    def set(self, **changes: float) -> None:
        """Changes the plan; ValueError for a name or a probability that there cannot be."""
        for name, value in changes.items():
            if name not in Plan.__dataclass_fields__:
                known = ", ".join(Plan.__dataclass_fields__)
                raise ValueError(f"there is no fault {name!r}: there are {known}")
            if value < 0 or (name not in ("delay", "retry_after") and value > 1):
                raise ValueError(f"{name} must be between 0 and 1, not {value}")
        self.plan = replace(self.plan, **changes)  # type: ignore[arg-type]  # checked above

    def happens(self, name: str, caller: str = "") -> bool:
        """Whether this fault strikes now."""
        chance = getattr(self.plan, name)
        if not chance or caller in self.spared or self._random.random() >= chance:
            return False
        self.counts[name] = self.counts.get(name, 0) + 1
        return True

    def before(self, verb: str, caller: str) -> None:
        """Raises what a request is answered instead of being done."""
        if self.happens("throttle", caller):
            words = "the server is currently unable to handle the request"
            raise status.too_many_requests(words, int(self.plan.retry_after))
        if self.happens("error", caller):
            if self._random.random() < 0.5:
                raise status.internal("injected fault")
            raise status.unavailable("the server is currently unable to handle the request")
        if verb in ("update", "patch") and self.happens("conflict", caller):
            raise status.conflict("", "objects", "any")

    def after(self, verb: str, caller: str) -> None:
        """Raises what a write is answered although it was done."""
        if verb in ("create", "update", "patch", "delete") and self.happens("lost_answer", caller):
            raise status.internal("injected fault: the write was done")
