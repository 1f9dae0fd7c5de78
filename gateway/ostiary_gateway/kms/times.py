"""When a KMS plug-in is asked, and how long it may fail."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KmsTimes:
    """In seconds."""

    poll: float = 30.0
    """Between two questions how it is, and so how long a rotation may go unnoticed."""
    again: float = 5.0
    """Between two questions while it is unwell, where that is less."""
    grace: float = 120.0
    """How long keys are used after it has become unwell."""
    call: float = 3.0
    """Longest time for one answer."""
    lifetime: float = 86_400.0
    """Age at which a key is replaced: under random nonces it may wrap 2**32 others, and not for ever more."""

    @property
    def soon(self) -> float:
        """Until the next question to a plug-in that is unwell."""
        return min(self.again, self.poll)

    @property
    def quiet(self) -> float:
        """Longest time from one good answer to the end of the next question: that takes up to four calls."""
        return self.poll + 4 * (self.call + 1.0)
