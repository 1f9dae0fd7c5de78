"""When a failed call is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.client.retry import RETRYABLE, RetryPolicy
from ostiary.wire.errors import OstiaryError, Reason

FINAL = sorted(set(Reason) - RETRYABLE)
CHANCE = st.floats(0, 1)


@pytest.mark.parametrize("reason", FINAL)
def test_final(reason: Reason) -> None:
    """What waiting cannot mend is never tried again; authentication above all."""
    assert RetryPolicy().pause(1, OstiaryError(reason, "no"), 0.5) is None


def test_authentication_is_final() -> None:
    """The table above holds every reason that has to do with who is calling."""
    about_identity = {
        Reason.UNAUTHENTICATED,
        Reason.PERMISSION_DENIED,
        Reason.CLIENT_CERTIFICATE,
        Reason.SERVER_CERTIFICATE,
    }
    assert about_identity <= set(FINAL)


@given(failures=st.integers(1, 20), chance=CHANCE, attempts=st.integers(1, 20))
def test_attempts_are_counted(failures: int, chance: float, attempts: int) -> None:
    """There is a pause before each attempt but the first, and none after the last."""
    pause = RetryPolicy(attempts=attempts).pause(failures, OstiaryError(Reason.UNAVAILABLE, "gone"), chance)
    assert (pause is None) == (failures >= attempts)


@given(failures=st.integers(1, 19), chance=CHANCE)
def test_backoff_doubles_up_to_a_limit(failures: int, chance: float) -> None:
    """A pause lies in the upper half of its step, and no step is longer than the longest."""
    policy = RetryPolicy(attempts=20, first=0.1, longest=5.0)
    pause = policy.pause(failures, OstiaryError(Reason.OVERLOADED, "busy"), chance)
    step = min(5.0, 0.1 * 2 ** (failures - 1))
    assert pause is not None
    assert step / 2 <= pause <= step


@given(advice=st.floats(0, 60), chance=CHANCE, failures=st.integers(1, 5))
def test_advice_is_never_undercut(advice: float, chance: float, failures: int) -> None:
    """Nobody comes back before the time that the server asked for."""
    error = OstiaryError(Reason.RATE_LIMITED, "later", retry_after=advice)
    pause = RetryPolicy().pause(failures, error, chance)
    assert pause is not None
    assert pause >= advice
