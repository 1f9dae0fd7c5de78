"""The contract of the evidence store: what was looked at, kept apart from the record and encrypted."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from ostiary.v1.inference_pb2 import CanonicalBytes


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

    async def names(self, tenant: str, check_id: str) -> list[str]:
        """Names of a check's items, sorted. Raises OstiaryError (STORE_UNAVAILABLE)."""
        ...

    async def shred(self, tenant: str, check_id: str) -> None:
        """Destroy every item of a check, the keys first; nothing happens where there is none.

        When it returns, no item can be opened again, whoever has the key-encryption key. Half done, it is
        done again.

        Raises OstiaryError (STORE_UNAVAILABLE) where one cannot be destroyed.
        """
        ...


def canonical_name(image_index: int) -> str:
    """Name of the canonical bytes of an image."""
    return f"canonical-{image_index}"


def blurred_name(image_index: int) -> str:
    """Name of the blurred rendition of an image, a JPEG file."""
    return f"blurred-{image_index}"


def kept(images: Iterable[CanonicalBytes]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each item that is kept of a check's images."""
    for image in images:
        yield canonical_name(image.image_index), image.data
        if image.blurred:
            yield blurred_name(image.image_index), image.blurred
