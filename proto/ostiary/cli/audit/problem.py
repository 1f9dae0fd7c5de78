"""What an audit can find."""


class Tampered(Exception):  # noqa: N818 # a finding of the audit, not a failure of it
    """The log or the store is not what it was; `entry` is the zero-based index concerned, if known."""

    def __init__(self, message: str, entry: int | None = None) -> None:
        super().__init__(message)
        self.entry = entry


class UsageError(Exception):
    """What was asked for cannot be audited; the message says what to give instead."""
