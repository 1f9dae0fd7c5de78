"""Times as the record holds them: microseconds since 1970, UTC."""

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def microseconds(time: datetime) -> int:
    """An aware time as microseconds since 1970."""
    return round((time - _EPOCH).total_seconds() * 1_000_000)
