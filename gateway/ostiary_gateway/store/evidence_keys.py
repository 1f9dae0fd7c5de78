"""What the record remembers of evidence's keys, so that no gateway starts that could not open what there is.

That is which key of a file evidence was sealed under, and which key of a KMS last. The first is told by its
id. A KMS changes its keys: the second is kept as the KMS encrypted it; who gets it decrypted has that KMS.
Everything here blocks, and raises StoreError where the database cannot be used.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import SQLAlchemyError

from ostiary_gateway.store.database import Store, StoreError, named, open_engine
from ostiary_gateway.store.schema import evidence_keys, evidence_kms
from ostiary_gateway.store.sealing import KmsKey


@dataclass(frozen=True)
class KnownKeys:
    """What there is evidence under: the id of a file's key, and the newest key of a KMS. None: nothing."""

    file: bytes | None
    kms: KmsKey | None


class KeyMemory:
    """The record's memory of keys."""

    def __init__(self, store: Store) -> None:
        """`store` was opened before, so that its tables are there."""
        self._store = store

    def known(self) -> KnownKeys:
        """What is remembered."""
        with self._transaction() as connection:
            return _known(connection)

    def take_file(self, key_ids: Sequence[bytes], *, new: bool = False) -> None:
        """Remember the first of a file's keys as what is sealed under; `new`: whatever was known.

        Raises StoreError, whose words say what to do, where evidence was sealed under none of them.
        """
        with self._transaction() as connection:
            if new:
                _forget(connection)
            known = _known(connection)
            if known.kms is not None:
                raise StoreError(
                    "evidence was sealed under a key of a KMS: set evidence.kms; if that KMS is lost for "
                    "good, set evidence.new_key"
                )
            _expect_file(known, key_ids)
            if known.file != key_ids[0]:
                connection.execute(delete(evidence_keys))
                connection.execute(insert(evidence_keys), {"id": 1, "key_id": key_ids[0]})

    def take_kms(self, key: KmsKey, *, new: bool = False) -> None:
        """Remember a key of a KMS as the newest; `new`: in place of whatever was known, a file's key too."""
        with self._transaction() as connection:
            if new:
                _forget(connection)
            connection.execute(delete(evidence_kms))
            connection.execute(insert(evidence_kms), {"id": 1, "key_id": key.id, "envelope": key.envelope})

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        engine = open_engine(self._store, begin="BEGIN IMMEDIATE")
        try:
            with engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"{named(self._store)} cannot be used: {error}") from error
        finally:
            engine.dispose()


def check_file_beside_kms(known: KnownKeys, key_ids: Sequence[bytes]) -> None:
    """Whether what a file's key sealed can be opened beside a KMS; `key_ids`: of the file given, or none.

    Raises StoreError, whose words say what to do.
    """
    if known.file is not None and not key_ids:
        raise StoreError(
            f"evidence was sealed under the key {known.file.hex()} of a file: name that as evidence.key, "
            "beside evidence.kms; if it is lost, or no such evidence is left, set evidence.new_key"
        )
    if key_ids:
        _expect_file(known, key_ids)


def _expect_file(known: KnownKeys, key_ids: Sequence[bytes]) -> None:
    if known.file is not None and known.file not in key_ids:
        given = ", ".join(key_id.hex() for key_id in key_ids)
        raise StoreError(
            f"evidence was sealed under the key {known.file.hex()}, and given is {given}: "
            "restore that one; if it is lost for good, set evidence.new_key"
        )


def _known(connection: Connection) -> KnownKeys:
    file = connection.scalar(select(evidence_keys.c.key_id))
    row = connection.execute(select(evidence_kms.c.key_id, evidence_kms.c.envelope)).one_or_none()
    return KnownKeys(file, KmsKey(*row) if row else None)


def _forget(connection: Connection) -> None:
    connection.execute(delete(evidence_keys))
    connection.execute(delete(evidence_kms))
