"""The contract of the evidence store: what was looked at, kept apart from the record and encrypted."""

from typing import Protocol


class EvidenceError(Exception):
    """Evidence that is there but cannot be read: it was altered, or encrypted under another key."""


class EvidenceStore(Protocol):
    """Where the bytes behind a decision are kept.

    An item is named by tenant, check id and name; each is 1 to 128 of `A-Z a-z 0-9 . _ -` and starts with a
    letter or digit. ValueError otherwise.
    """

    async def put(self, tenant: str, check_id: str, name: str, data: bytes) -> None:
        """Keep `data` durably, in place of what the item held before.

        Raises OstiaryError (STORE_UNAVAILABLE) where it cannot be written.
        """
        ...

    async def get(self, tenant: str, check_id: str, name: str) -> bytes | None:
        """The item's bytes; None where there is no such item.

        Raises EvidenceError where it was altered or is of another key, OstiaryError (STORE_UNAVAILABLE) where
        it cannot be read.
        """
        ...

    async def discard(self, tenant: str, check_id: str, name: str) -> None:
        """Remove an item of a check that was never recorded; nothing happens where there is none.

        Raises OstiaryError (STORE_UNAVAILABLE) where it cannot be removed.
        """
        ...


def canonical_name(image_index: int) -> str:
    """Name of the canonical bytes of an image."""
    return f"canonical-{image_index}"
