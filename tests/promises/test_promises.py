"""Each promise that is built holds, at the count that a few seconds allow."""

import pytest

from bench.promises import BUILT, overload
from bench.promises.contract import Promise

# Its bars are times, and tests share their machine with others: see test_promise_overload.py.
TIMED = (overload.PROMISE,)


@pytest.mark.timeout(300)  # some start a dozen processes
@pytest.mark.parametrize(
    "promise", [one for one in BUILT if one not in TIMED], ids=lambda promise: f"{promise.number}"
)
def test_holds(promise: Promise) -> None:
    """Something was tried, and the bar was reached."""
    outcome = promise.run(8.0)
    assert outcome.count > 0
    assert outcome.met, outcome
