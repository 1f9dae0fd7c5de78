"""Each promise that is built holds, at the count that a few seconds allow."""

import pytest

from bench.promises import BUILT
from bench.promises.contract import Promise


@pytest.mark.timeout(300)  # some start a dozen processes
@pytest.mark.parametrize("promise", BUILT, ids=lambda promise: f"{promise.number}")
def test_holds(promise: Promise) -> None:
    """Something was tried, and the bar was reached."""
    outcome = promise.run(8.0)
    assert outcome.count > 0
    assert outcome.met, outcome
