"""Whether a KMS plug-in can be relied on, by when it was last well. Times are monotonic seconds. Pure."""


class Standing:
    """Relied on from the first good answer until `grace` seconds after it began to fail.

    The key in memory would do for longer. But whoever takes a key away in the KMS means gateways too, and a
    rotation has to be noticed: the grace is what a plug-in needs to be started again, and no more.
    """

    def __init__(self, grace: float, quiet: float) -> None:
        """`quiet` is the longest time from a good answer to the end of the next question."""
        self._grace = grace
        self._quiet = quiet
        self._until = float("-inf")
        self._since: float | None = None

    def well(self, asked_at: float) -> None:
        """The plug-in did what it was asked at that time."""
        self._since = None
        # Also where nobody asks any more: what has not been heard of is not relied on either.
        self._until = asked_at + self._quiet + self._grace

    def unwell(self, asked_at: float) -> None:
        """It did not."""
        if self._since is None:
            self._since = asked_at
        self._until = min(self._until, self._since + self._grace)

    @property
    def failing(self) -> bool:
        """Whether it did not do what it was last asked."""
        return self._since is not None

    def relied_on(self, now: float) -> bool:
        """Whether keys may be used."""
        return now < self._until

    def unwell_for(self, now: float) -> float:
        """Seconds since it began to fail; 0 while it does not."""
        return 0.0 if self._since is None else max(0.0, now - self._since)
