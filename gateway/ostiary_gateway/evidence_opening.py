"""Puts together where evidence is kept, and the keys that it is sealed under."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from opentelemetry import metrics

from ostiary_gateway.background import ended
from ostiary_gateway.evidence import EvidenceStore
from ostiary_gateway.kms.keys import KmsKeys
from ostiary_gateway.kms.plugin import KmsPlugin
from ostiary_gateway.metrics import SCOPE, watch_kms
from ostiary_gateway.settings import EvidenceSettings, KmsSettings
from ostiary_gateway.store.database import Store, StoreError
from ostiary_gateway.store.directory_evidence import DirectoryEvidence
from ostiary_gateway.store.evidence_keys import KeyMemory
from ostiary_gateway.store.key_file import KeyFile
from ostiary_gateway.store.key_source import KeySource

_REMEMBER_SECONDS = 2.0
_log = structlog.get_logger(__name__)


@asynccontextmanager
async def open_evidence(
    settings: EvidenceSettings, file: KeyFile | None, store: Store
) -> AsyncIterator[EvidenceStore]:
    """The evidence store, with its keys held against what `store`, which was opened, remembers of them.

    Waits for a KMS that is away as long as it takes. Raises ValueError, whose words say what to do.
    """
    async with AsyncExitStack() as stack:
        memory = KeyMemory(store)
        keys: KeySource
        if settings.kms is not None:
            kms = _kms_keys(settings.kms, memory, file, new=settings.new_key)
            keys = await stack.enter_async_context(kms)
        elif file is not None:
            await asyncio.to_thread(memory.take_file, file.ids, new=settings.new_key)
            remembering = asyncio.create_task(_remembering(file, memory), name="evidence key")
            stack.push_async_callback(ended, remembering)
            keys = file
        else:
            raise ValueError("evidence: name key, a file, or kms, the plug-in of a KMS")
        yield await _evidence(stack, settings, keys)


async def _remembering(file: KeyFile, memory: KeyMemory) -> None:
    """Has the record know which key of the file evidence is sealed under, when that is another one."""
    known = file.ids[0]
    while True:
        await asyncio.sleep(_REMEMBER_SECONDS)
        ids = file.ids
        if ids[0] == known:
            continue
        try:
            await asyncio.to_thread(memory.take_file, ids)
            known = ids[0]
        except StoreError as error:
            _log.warning("evidence.key_not_remembered", error=str(error))


def key_file(settings: EvidenceSettings) -> KeyFile | None:
    """The key's file; None where there is none to be. Raises ValueError that names it."""
    if settings.key is None:
        return None
    try:
        return KeyFile(settings.key)
    except OSError as error:
        why = f"{settings.key} cannot be read ({error.strerror}): make it with `ostiary gateway init`"
        raise ValueError(why) from error


@asynccontextmanager
async def _kms_keys(
    settings: KmsSettings, memory: KeyMemory, file: KeyFile | None, *, new: bool
) -> AsyncIterator[KmsKeys]:
    plugin = KmsPlugin(settings.socket, settings.timeout_seconds)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(plugin.close)
        keys = KmsKeys(plugin, memory, file, times=settings.times())
        stack.push_async_callback(keys.close)
        watch_kms(metrics.get_meter(SCOPE), keys.unwell_for)
        await keys.start(new=new)
        stack.push_async_callback(ended, asyncio.create_task(keys.run(), name="kms"))
        yield keys


async def _evidence(stack: AsyncExitStack, settings: EvidenceSettings, keys: KeySource) -> EvidenceStore:
    if settings.dir is not None:
        return await stack.enter_async_context(DirectoryEvidence(settings.dir, keys))
    try:
        from ostiary_gateway.store.s3_evidence import (
            Bucket,
            S3Evidence,
        )  # the client is in an extra of its own
    except ImportError as error:
        raise ValueError(f"evidence.s3 needs a client: pip install 'ostiary[s3]' ({error})") from error
    given = settings.s3
    if given is None:
        raise ValueError("evidence: name dir or s3, one of them")
    bucket = Bucket(given.bucket, given.prefix, given.endpoint, given.region, given.plain_http)
    evidence = S3Evidence(bucket, keys)
    await evidence.check()
    return evidence
