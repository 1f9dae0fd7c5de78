"""When a failed call is worth another try, and how long to wait before it."""

from dataclasses import dataclass

from ostiary.wire.errors import OstiaryError, Reason

RETRYABLE = frozenset(
    {
        Reason.UNAVAILABLE,
        Reason.OVERLOADED,
        Reason.RATE_LIMITED,
        Reason.STORE_UNAVAILABLE,
        Reason.POD_UNAVAILABLE,
    }
)


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter; a server's own advice (RetryInfo) is never undercut.

    `attempts` counts the first one too. `first` and `longest` are seconds. Authentication, authorisation and
    requests that are wrong in themselves fail at once: waiting mends none of them.
    """

    attempts: int = 6
    first: float = 0.1
    longest: float = 5.0

    def pause(self, failures: int, error: OstiaryError, chance: float) -> float | None:
        """Seconds to wait after the `failures`-th failure (from 1), or None where the error is final.

        `chance` is a random number from 0 to 1: it spreads callers that failed together over the second half
        of the pause.
        """
        if error.reason not in RETRYABLE or failures >= self.attempts:
            return None
        backoff = min(self.longest, self.first * 2.0 ** (failures - 1))
        return max(error.retry_after or 0.0, backoff / 2) + chance * backoff / 2
