"""A pod that answers what it is told to: `python -m bench.promises.scripted_pod FILE`.

Its TLS, authorisation, drain and telemetry are the product's own; only what was seen is written down. FILE is
YAML: `listen`, `admin`, `tls`, `client`, `mode` (a file that holds a word of `MODES`), `seconds`,
`otlp_endpoint`, and `digest`, which its bundle is said to have. Variables of the environment are filled in.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from ostiary.v1 import inference_pb2
from ostiary.v1.image_pb2 import CanonicalImage
from ostiary.v1.inference_pb2 import (
    CanonicalBytes,
    InferRequest,
    InferResponse,
    StatusRequest,
    StatusResponse,
)
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.observation_pb2 import (
    BundleInfo,
    CalibrationPoint,
    DetectorInfo,
    Observations,
    PolicyScore,
)
from ostiary.wire.authorization import AllowedIds
from ostiary.wire.call import Call
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import SpiffeId
from ostiary.wire.process import Stop, run, serve
from ostiary.wire.server import Server, ServerBuilder, ServerLimits
from ostiary.wire.telemetry import name_check

SERVICE = inference_pb2.DESCRIPTOR.services_by_name["InferenceService"]
_POLICY, _LABEL, _QUESTION = "prohibited_ads", "qr_code", "qr_code.visible"
_MOST_BYTES = 220_000_000
_HANGS_SECONDS = 3600.0


def seen(check: CheckRequest, probability: float = 0.01) -> InferResponse:
    """A sound answer: no text, no code, and a QR code as likely as said."""
    observations = Observations(
        bundle=BundleInfo(name="stub", version="1", digest=b"d" * 32, weights_digest=b"w" * 32),
        calibration=[
            CalibrationPoint(policy=_POLICY, label=_LABEL, question=_QUESTION, precision=0.97, threshold=0.8)
        ],
        detectors=[
            DetectorInfo(name=name, completed=True, policies=[_POLICY]) for name in ("ocr", "barcode")
        ],
        capabilities=[_POLICY],
    )
    response = InferResponse(observations=observations)
    for index, image in enumerate(check.images):
        data = b"canonical:" + image.data
        response.observations.images.append(
            CanonicalImage(
                image_index=index,
                raw_sha256=hashlib.sha256(image.data).digest(),
                sha256=hashlib.sha256(data).digest(),
                media_type="image/png",
                width=640,
                height=480,
                size_bytes=len(data),
            )
        )
        score = PolicyScore(
            policy=_POLICY,
            label=_LABEL,
            question=_QUESTION,
            image_index=index,
            probability=probability,
            source="vlm",
        )
        response.observations.scores.append(score)
        blurred = b"\xff\xd8\xffblurred:" + hashlib.sha256(image.data).digest()
        response.canonical.append(CanonicalBytes(image_index=index, data=data, blurred=blurred))
    return response


def _without_hash(check: CheckRequest) -> InferResponse:
    response = seen(check)
    response.observations.images[0].raw_sha256 = b"another image's".ljust(32)
    return response


def _without_images(check: CheckRequest) -> InferResponse:
    response = seen(check)
    del response.observations.images[:]
    return response


def _without_completion(check: CheckRequest) -> InferResponse:
    response = seen(check)
    for detector in response.observations.detectors:
        detector.completed, detector.error = False, "out of memory"
    return response


def _failing(reason: Reason) -> Callable[[CheckRequest], InferResponse]:
    def fail(check: CheckRequest) -> InferResponse:
        raise OstiaryError(reason, "told to")

    return fail


MODES: dict[str, Callable[[CheckRequest], InferResponse]] = {
    "good": seen,
    "flag": lambda check: seen(check, probability=0.999),
    "internal": _failing(Reason.INTERNAL),
    "unavailable": _failing(Reason.UNAVAILABLE),
    "empty": lambda check: InferResponse(),
    "wrong_hash": _without_hash,
    "no_images": _without_images,
    "incomplete": _without_completion,
    "nonsense": lambda check: InferResponse(observations=Observations(capabilities=["\u0000"] * 9)),
}


class ScriptedPod:
    """Answers as the word in its file says; `hang` and `late` never answer."""

    def __init__(self, mode: Path, seconds: float, digest: str | None = None) -> None:
        self._mode = mode
        self._seconds = seconds
        self._digest = digest

    async def infer(self, request: InferRequest, call: Call) -> InferResponse:
        """Infer."""
        name_check(request.check_id)
        await asyncio.sleep(self._seconds)
        mode = self._mode.read_text(encoding="utf-8")
        if mode == "hang":
            await asyncio.sleep(_HANGS_SECONDS)
        answer = MODES[mode](CheckRequest.FromString(request.check_request))
        if self._digest:
            answer.observations.bundle.digest = bytes.fromhex(self._digest.removeprefix("sha256:"))
        return answer

    async def status(self, request: StatusRequest, call: Call) -> StatusResponse:
        """Status."""
        return StatusResponse(capabilities=[_POLICY])


@asynccontextmanager
async def _serving(settings: dict[str, Any]) -> AsyncIterator[Server]:
    ca, cert, key = (Path(settings["tls"][name]) for name in ("ca", "cert", "key"))
    files = CredentialFiles(ca, cert, key)
    methods = [f"/{SERVICE.full_name}/{method.name}" for method in SERVICE.methods]
    builder = ServerBuilder(
        address=settings["listen"],
        health_address=None,
        credentials=CredentialSource(files),
        authorizer=AllowedIds("gateway", [SpiffeId.parse(settings["client"])], methods),
        limits=ServerLimits(max_receive_bytes=_MOST_BYTES, max_send_bytes=_MOST_BYTES),
    )
    pod = ScriptedPod(Path(settings["mode"]), settings["seconds"], settings.get("digest"))
    builder.add_service(SERVICE, {"Infer": pod.infer, "Status": pod.status})
    server = await builder.start()
    try:
        server.set_serving(True)
        yield server
    finally:
        await server.drain(settings["drain_seconds"])


def main() -> int:
    """Serve until told to stop."""
    settings = yaml.safe_load(os.path.expandvars(Path(sys.argv[1]).read_text(encoding="utf-8")))

    async def serving(stop: Stop) -> None:
        await serve(
            "ostiary-pod",
            _serving(settings),
            stop,
            otlp_endpoint=settings["otlp_endpoint"],
            admin=settings["admin"],
        )

    return run("ostiary-pod", serving)


if __name__ == "__main__":
    sys.exit(main())
