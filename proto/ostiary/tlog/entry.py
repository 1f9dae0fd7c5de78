"""What the log says of a decision, or of what happened to it: that it was recorded, when, and a commitment.

The commitment is salted. Whoever has record and salt can check it; once both are destroyed, the entry gives
nothing away and every proof over it still holds.
"""

import hmac
import re
from datetime import UTC, datetime
from typing import NamedTuple

VERSION = 1
DECISION, EVENT = "decision", "event"
SALT_BYTES = 32

# The one spelling of an entry. JSON with sorted keys and no spaces; the values' own syntax needs no escapes.
_FORM = re.compile(
    rb'\{"commitment":"(?P<commitment>[0-9a-f]{64})","kind":"(?P<kind>decision|event)",'
    rb'"time":"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6})Z","version":1\}'
)


class Entry(NamedTuple):
    """A log entry: `time` in UTC to the microsecond, `commitment` 32 bytes, `kind` DECISION or EVENT."""

    time: datetime
    commitment: bytes
    kind: str = DECISION

    def encode(self) -> bytes:
        """The entry as the log holds it: canonical JSON, UTF-8, no newline."""
        time = self.time if self.time.tzinfo is UTC else self.time.astimezone(UTC)
        written = time.isoformat(timespec="microseconds").removesuffix("+00:00")
        return (
            f'{{"commitment":"{self.commitment.hex()}","kind":"{self.kind}",'
            f'"time":"{written}Z","version":{VERSION}}}'
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Entry":
        """Raises ValueError where the bytes are not an entry in its canonical form."""
        match = _FORM.fullmatch(data)
        if not match:
            raise ValueError("not a log entry in canonical form")
        time = datetime.fromisoformat(match["time"].decode()).replace(tzinfo=UTC)
        return cls(time, bytes.fromhex(match["commitment"].decode()), match["kind"].decode())


def commit(salt: bytes, record: bytes) -> bytes:
    """The commitment to a record's bytes: HMAC-SHA256 under its own random salt of 32 bytes.

    Raises ValueError where the salt has another length: to HMAC, a key with zeros behind it is the same key.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return hmac.digest(salt, record, "sha256")
