"""Times as people write them on a command line."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"([0-9]{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_time(option: str, text: str, now: datetime) -> datetime | None:
    """An aware time: ISO 8601, in UTC unless it names a zone, or `7d`: so long before `now`; None for "".

    Raises:
        ValueError: it is neither; the message names the option.
    """
    if not text:
        return None
    if match := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        words = f"{option}: {text!r} is no time: give one such as 2026-11-01T08:00:00Z, or 7d for a week ago"
        raise ValueError(words) from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
