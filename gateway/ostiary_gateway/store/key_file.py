"""The key-encryption keys as their file has them: used for as long as the file is there, and holds them."""

from pathlib import Path

import structlog

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.store.sealing import (
    ItemName,
    KeyEncryptionKey,
    key_id_of,
    kms_key_of,
    load_evidence_keys,
)

_log = structlog.get_logger(__name__)


class KeyFile:
    """A `KeySource` over a file. Without it nothing is sealed that nobody could open after a restart.

    It is followed: of a file that still holds the key that is sealed under, the first key is taken up, and
    all of them open.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError, or ValueError in words that name the file."""
        self._path = path
        self._mark = _mark(path)
        self._keys = load_evidence_keys(path)

    @property
    def ids(self) -> tuple[bytes, ...]:
        """The keys' ids; the first is that of the key that is sealed under."""
        return tuple(key.id for key in self._keys)

    def current(self) -> KeyEncryptionKey:
        """See `KeySource.current`."""
        return self._held()[0]

    async def opening(self, item: ItemName, sealed: bytes) -> KeyEncryptionKey:
        """See `KeySource.opening`."""
        if kms_key_of(item, sealed):
            raise EvidenceError(f"evidence {item} was sealed under a key of a KMS: name it as evidence.kms")
        keys, wanted = self._held(), key_id_of(sealed)
        # Where there is none, the first says so when it is to open the item.
        return next((key for key in keys if key.id == wanted), keys[0])

    def _held(self) -> tuple[KeyEncryptionKey, ...]:
        try:
            mark = _mark(self._path)
            if mark != self._mark:
                keys = load_evidence_keys(self._path)
                if self._keys[0] not in keys:
                    raise ValueError("the key that is sealed under is not among those in its place")
                if keys[0] != self._keys[0]:
                    _log.info("evidence.key_rotated", key=keys[0].id.hex(), opening=len(keys))
                self._keys, self._mark = keys, mark
        except (OSError, ValueError) as error:
            failure = OstiaryError(
                Reason.STORE_UNAVAILABLE, "the evidence key is gone or another one; nothing was decided"
            )
            raise failure from error
        return self._keys


def _mark(path: Path) -> tuple[int, int, int]:
    """Changes whenever the file does."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
