"""Wires a pod together. The only place that knows which class stands behind which contract."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files

import structlog
from opentelemetry import metrics

from ostiary.v1 import inference_pb2
from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire import inspection
from ostiary.wire.allocator import return_free_pages, return_large_blocks, share_heaps
from ostiary.wire.authorization import AllowedIds
from ostiary.wire.credentials import CredentialSource
from ostiary.wire.identity import SpiffeId
from ostiary.wire.server import Server, ServerBuilder, ServerLimits
from ostiary_moderation.bundle import Bundle
from ostiary_moderation.declaration import Declaration
from ostiary_moderation.decode.pool import DecodePool
from ostiary_moderation.detector import Detector, GalleryDetector, load_detectors
from ostiary_moderation.detectors.runner import DetectorRunner, GalleryRunner
from ostiary_moderation.engines import load_engine
from ostiary_moderation.gallery import Galleries
from ostiary_moderation.gauges import Gauges
from ostiary_moderation.inspection import Inspector
from ostiary_moderation.metrics import SCOPE, PodMetrics
from ostiary_moderation.service import InferenceService
from ostiary_moderation.settings import PodSettings
from ostiary_moderation.turns import TurnLimits, Turns

_log = structlog.get_logger(__name__)
_SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"]
_METHODS = tuple(f"/{_SERVICE.full_name}/{method.name}" for method in _SERVICE.methods)
# Eight images of 25 MB and the listing; on the way back as many canonical files.
_MAX_MESSAGE_BYTES = 220_000_000
_WARM_UP_CHECKS = 3


@asynccontextmanager
async def pod(settings: PodSettings) -> AsyncIterator[Server]:
    """A pod that serves, its bundle loaded and warmed up; drained and closed on leaving.

    Raises:
        ValueError: something that it needs is missing or bad; the message says what to do.
    """
    share_heaps()
    return_large_blocks()
    async with AsyncExitStack() as stack:
        # Before the model is loaded, which takes long: a bad certificate should show at once.
        credentials = CredentialSource(settings.tls.files())
        credentials.check()
        service = await _inference_service(stack, settings)
        returning = asyncio.create_task(return_free_pages())
        stack.callback(returning.cancel)
        builder = ServerBuilder(
            address=settings.listen,
            health_address=settings.health,
            credentials=credentials,
            authorizer=_only("gateway", settings.clients, _METHODS),
            limits=ServerLimits(max_receive_bytes=_MAX_MESSAGE_BYTES, max_send_bytes=_MAX_MESSAGE_BYTES),
        )
        builder.add_service(_SERVICE, service.handlers())
        server = await builder.start()
        stack.push_async_callback(server.drain, settings.drain_seconds)
        if settings.inspect:
            operators = _only("sre", settings.inspect.clients, inspection.METHODS)
            inspecting = await inspection.start(settings.inspect.listen, credentials, operators, server)
            stack.push_async_callback(inspecting.drain, 0)
        server.set_serving(True)
        yield server


def _only(role: str, clients: tuple[str, ...], methods: tuple[str, ...]) -> AllowedIds:
    return AllowedIds(role, [SpiffeId.parse(client) for client in clients], methods)


async def _inference_service(stack: AsyncExitStack, settings: PodSettings) -> InferenceService:
    bundle = await asyncio.to_thread(Bundle.load, settings.bundle)
    if settings.bundle_digest is not None:
        bundle.check_digest(settings.bundle_digest)
    wanted = [(detector.name, detector.settings) for detector in bundle.manifest.detectors]
    detectors = await asyncio.to_thread(load_detectors, wanted, settings.threads)
    runners = [DetectorRunner(each) for each in detectors if isinstance(each, Detector)]
    comparers = [GalleryRunner(each) for each in detectors if isinstance(each, GalleryDetector)]
    for close in [*(runner.close for runner in runners), *(runner.close for runner in comparers)]:
        stack.callback(close)
    engine = await asyncio.to_thread(load_engine, bundle, settings.threads)
    stack.push_async_callback(engine.close)
    decoders = await stack.enter_async_context(DecodePool(settings.decode_workers, views=engine.view_spec))
    declaration = Declaration.of(bundle, detectors)
    galleries = Galleries(comparers)
    inspector = Inspector(decoders, runners, engine, declaration, galleries)
    await _warm_up(inspector, bundle)
    _log.info("bundle loaded", bundle=bundle.manifest.name, digest=bundle.digest.hex())
    limits = TurnLimits(settings.max_in_flight, settings.max_queued, settings.image_memory_mib << 20)
    turns, counts = Turns(limits), PodMetrics(metrics.get_meter(SCOPE))
    counts.watch(turns, engine)
    return InferenceService(
        inspector, engine, declaration, runners, Gauges(), turns, galleries, looked=counts.looked
    )


async def _warm_up(inspector: Inspector, bundle: Bundle) -> None:
    """Send images all the way: the first callers shall not pay for what is set up on first use.

    Several at once in each language: the model takes them as one batch, which is another path than one alone.
    """
    image = files("ostiary_moderation.detectors").joinpath("examples/contact_zh.png").read_bytes()
    description = bundle.manifest.description
    for language in description.languages if description else ("en",):
        check = CheckRequest(images=[Image(data=image)], listing=Listing(language=language))
        await asyncio.gather(*(inspector.inspect(check) for _ in range(_WARM_UP_CHECKS)))
