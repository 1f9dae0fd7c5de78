"""Deadlines: how much of a caller's time a server may spend."""

MARGIN = 0.05
"""Seconds kept back, so that the answer about an inner time-out still reaches the caller."""

_LARGEST_SHARE = 0.1


def trim(remaining: float | None, margin: float = MARGIN) -> float | None:
    """Seconds that may be spent of the `remaining` seconds; None where there is no deadline.

    `margin` seconds are kept back, but never more than a tenth of what remains.
    """
    if remaining is None:
        return None
    remaining = max(0.0, remaining)
    return remaining - min(margin, remaining * _LARGEST_SHARE)
