"""Where the key-encryption key comes from."""

from typing import Protocol

from ostiary_gateway.store.sealing import ItemName, KeyEncryptionKey


class KeySource(Protocol):
    """Gives key-encryption keys: one to seal under, and those that items were sealed under."""

    def current(self) -> KeyEncryptionKey:
        """The key to seal under; from any thread, at once, without asking anybody.

        Raises OstiaryError (STORE_UNAVAILABLE) where it cannot be had.
        """
        ...

    async def opening(self, item: ItemName, sealed: bytes) -> KeyEncryptionKey:
        """The key to open a sealed item with.

        Raises EvidenceError where there is none for it, OstiaryError (STORE_UNAVAILABLE) where it cannot be
        had now.
        """
        ...
