"""Key-encryption keys that a KMS keeps: made here, encrypted by the KMS, and in the clear in memory alone.

As Kubernetes' API server does it, the gateway makes a key of its own, has the plug-in encrypt it once, and
wraps the items' keys with it: no check waits for the KMS. The encrypted key stands in every item that is
sealed under it: item and KMS are all that it takes to open one, whatever became of gateways and database.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import structlog

from ostiary.v1.evidence_pb2 import WrappedKey
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.evidence import EvidenceError
from ostiary_gateway.kms.opened import OpenedKeys
from ostiary_gateway.kms.plugin import KmsError, KmsPlugin
from ostiary_gateway.kms.standing import Standing
from ostiary_gateway.kms.times import KmsTimes
from ostiary_gateway.store.database import StoreError
from ostiary_gateway.store.evidence_keys import KeyMemory, check_file_beside_kms
from ostiary_gateway.store.key_file import KeyFile
from ostiary_gateway.store.sealing import KEY_BYTES, ItemName, KeyEncryptionKey, KmsKey, kms_key_of

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _InForce:
    """The key to seal under, the KMS's own that it is encrypted under, and when it was made."""

    key: KeyEncryptionKey
    key_id: str
    made_at: float


class KmsKeys:
    """A `KeySource` over a plug-in: `start` it, then let it `run`. For one event loop.

    A plug-in that is away or unwell for longer than the grace is as a key file that is gone: nothing is
    sealed, nothing opened, and the keys in memory are forgotten. It goes on by itself when the plug-in does.
    """

    def __init__(
        self,
        plugin: KmsPlugin,
        memory: KeyMemory,
        file: KeyFile | None = None,
        *,
        times: KmsTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`memory` is the record's; `file` opens what was sealed under a key file before, None for nothing;
        `times` None for the usual ones; `clock` gives monotonic seconds.
        """
        self._plugin = plugin
        self._memory = memory
        self._file = file
        self._times = times or KmsTimes()
        self._clock = clock
        self._standing = Standing(self._times.grace, self._times.quiet)
        self._in_force: _InForce | None = None
        self._opened = OpenedKeys(plugin.decrypt)

    def current(self) -> KeyEncryptionKey:
        """See `KeySource.current`."""
        in_force = self._in_force
        if in_force is None or not self._standing.relied_on(self._clock()):
            raise _unavailable("the KMS of the evidence's keys cannot be reached; nothing was decided")
        return in_force.key

    async def opening(self, item: ItemName, sealed: bytes) -> KeyEncryptionKey:
        """See `KeySource.opening`. The KMS is asked for a key once, however many items wait for it."""
        wanted = kms_key_of(item, sealed)
        if wanted is None:
            if self._file is None:
                words = "was sealed under a key file: name that as evidence.key, beside evidence.kms"
                raise EvidenceError(f"evidence {item} {words}")
            return await self._file.opening(item, sealed)
        in_force = self.current()
        if in_force.envelope == wanted.envelope:
            return in_force
        try:
            return await self._opened.get(wanted)
        except KmsError as error:
            _log.error("kms.cannot_open", item=str(item), error=str(error))
            if error.lasting:
                words = "the KMS knows no such key: the file was altered, or is of another KMS"
                raise EvidenceError(f"evidence {item} cannot be opened: {words}") from error
            raise _unavailable("the KMS does not give the key of this evidence now") from error

    def unwell_for(self) -> float:
        """Seconds since the plug-in began to fail; 0 while it is well."""
        return self._standing.unwell_for(self._clock())

    async def start(self, *, new: bool = False) -> None:
        """Make a first key; waits for a plug-in that is not there, or unwell, as long as it takes.

        `new`: take what the KMS gives though evidence was sealed under another key, which is lost. Raises
        StoreError or ValueError, whose words say what to do: the plug-in is none for KMS v2, or does not give
        back the key that evidence was sealed under.
        """
        while True:
            asked_at = self._clock()
            try:
                made = await self._make(await self._plugin.status(), asked_at)
                await self._take(made, new=new)
                self._standing.well(asked_at)
                return
            except KmsError as error:
                if error.lasting:
                    raise ValueError(f"evidence.kms: {error}") from error
                _log.warning("kms.waiting", error=str(error))
            await asyncio.sleep(self._times.soon)

    async def run(self) -> None:
        """Ask the plug-in how it is, and follow what it says, until cancelled."""
        while True:
            await asyncio.sleep(self._times.soon if self._standing.failing else self._times.poll)
            await self.follow()

    async def follow(self) -> None:
        """Ask once; take a new key where the KMS has rotated its own, or this one is old."""
        asked_at = self._clock()
        try:
            key_id = await self._plugin.status()
            if self._is_due(key_id, asked_at):
                await self._take(await self._make(key_id, asked_at))
        except (KmsError, StoreError) as error:
            self._fail(asked_at, str(error))
        except Exception as error:  # whatever it is, a gateway must not go on as if the KMS were there
            _log.exception("kms.failed")
            self._fail(asked_at, repr(error))
        else:
            if self._standing.failing:
                _log.info("kms.well", seconds=round(self.unwell_for(), 1))
            self._standing.well(asked_at)

    async def close(self) -> None:
        """Ask for nothing more, and forget all keys."""
        self._in_force = None
        await self._opened.close()

    def _is_due(self, key_id: str, now: float) -> bool:
        held = self._in_force
        return held is None or held.key_id != key_id or now - held.made_at >= self._times.lifetime

    def _fail(self, asked_at: float, why: str) -> None:
        if not self._standing.failing:
            _log.error("kms.unwell", error=why, grace_seconds=self._times.grace)
        self._standing.unwell(asked_at)
        if self._in_force and not self._standing.relied_on(self._clock()):
            self._in_force = None
            self._opened.forget()
            _log.error("kms.keys_forgotten", error=why)

    async def _make(self, key_id: str, now: float) -> _InForce:
        """A new key, which the KMS has wrapped under its own."""
        secret = secrets.token_bytes(KEY_BYTES)
        wrapped = await self._plugin.wrap(secret, key_id)
        return _InForce(KeyEncryptionKey(secret, wrapped.SerializeToString()), key_id, now)

    async def _take(self, made: _InForce, *, new: bool = False) -> None:
        """Use a key from now on, once the record remembers it.

        The KMS has to have the one that it remembers so far, at a rotation too: another KMS, or one that has
        thrown its old versions away, would leave evidence behind that nobody can open.
        """
        if not new:
            await self._check_known()
        key = made.key
        await asyncio.to_thread(self._memory.take_kms, KmsKey(key.id, key.envelope), new=new)
        if self._in_force is not None:
            self._opened.put(self._in_force.key)
        self._in_force = made
        # The KMS's name for its key may say whose it is: its digest is enough to tell one from another.
        digest = sha256(made.key_id.encode()).hexdigest()
        _log.info("kms.new_key", key=key.id.hex(), kms_key_sha256=digest)

    async def _check_known(self) -> None:
        """Hold the plug-in against the key that evidence was last sealed under.

        Raises StoreError where it does not have that one, KmsError where it does not say now.
        """
        known = await asyncio.to_thread(self._memory.known)
        check_file_beside_kms(known, self._file.ids if self._file else ())
        if known.kms is None:
            return
        try:
            secret = await self._plugin.decrypt(WrappedKey.FromString(known.kms.envelope))
        except KmsError as error:
            if not error.answered:
                raise
            raise _another_kms(known.kms, str(error)) from error
        if KeyEncryptionKey(secret).id != known.kms.id:
            raise _another_kms(known.kms, "it gives another key in its place")


def _unavailable(words: str) -> OstiaryError:
    return OstiaryError(Reason.STORE_UNAVAILABLE, words)


def _another_kms(known: KmsKey, why: str) -> StoreError:
    return StoreError(
        f"evidence was sealed under the key {known.id.hex()} of a KMS, which this one does not give back "
        f"({why}): point evidence.kms at its plug-in; if it is lost for good, set evidence.new_key"
    )
