"""The key-encryption key as its file has it: used for as long as the file is there, and holds it."""

from pathlib import Path

from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.store.sealing import ItemName, KeyEncryptionKey, kms_key_of, load_evidence_key


class KeyFile:
    """A `KeySource` over a file. Without it nothing is sealed that nobody could open after a restart."""

    def __init__(self, path: Path) -> None:
        """Raises OSError, or ValueError in words that name the file."""
        self._path = path
        self._mark = _mark(path)
        self._key = load_evidence_key(path)

    @property
    def id(self) -> bytes:
        """The key's id."""
        return self._key.id

    def current(self) -> KeyEncryptionKey:
        """See `KeySource.current`."""
        try:
            mark = _mark(self._path)
            if mark != self._mark:
                if load_evidence_key(self._path) != self._key:
                    raise ValueError("another key is in its place")
                self._mark = mark
        except (OSError, ValueError) as error:
            failure = OstiaryError(
                Reason.STORE_UNAVAILABLE, "the evidence key is gone or another one; nothing was decided"
            )
            raise failure from error
        return self._key

    async def opening(self, item: ItemName, sealed: bytes) -> KeyEncryptionKey:
        """See `KeySource.opening`."""
        if kms_key_of(item, sealed):
            raise EvidenceError(f"evidence {item} was sealed under a key of a KMS: name it as evidence.kms")
        return self.current()


def _mark(path: Path) -> tuple[int, int, int]:
    """Changes whenever the file does."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
