"""A pod's parts for tests: a small engine that computes from pixels, and checks with drawn images."""

import asyncio
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import zxingcpp
from PIL import Image, ImageDraw, ImageFont

from ostiary.v1.image_pb2 import Image as SentImage
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.v1.observation_pb2 import BundleInfo, CalibrationPoint
from ostiary_moderation.declaration import Declaration
from ostiary_moderation.engine import AttributeValue, EngineLoad, Look, LookRequest, QuestionScore
from ostiary_moderation.views import PixelRange, ViewSpec

DECLARATION = Declaration(
    bundle=BundleInfo(name="redness", version="1", digest=bytes(32), weights_digest=bytes(32), engine="mean"),
    capabilities=("prohibited_ads", "redness"),
    calibration=(
        CalibrationPoint(policy="redness", label="red", question="is_red", precision=0.9, threshold=0.5),
    ),
)


class RednessEngine:
    """An Engine without a model: the share of red in the mean colour answers its one question.

    `hold` stops looks until it is set; the requests seen are kept.
    """

    def __init__(self) -> None:
        self.hold = asyncio.Event()
        self.hold.set()
        self.entered: asyncio.Queue[LookRequest] = asyncio.Queue()
        self.error: Exception | None = None
        self.cancelled = 0
        self.requests: list[LookRequest] = []

    @property
    def view_spec(self) -> ViewSpec:
        return ViewSpec(cell=4, first=PixelRange(16, 1 << 20))

    def load(self) -> EngineLoad:
        return EngineLoad(waiting=2, running=3, memory_splits=4)

    async def look(self, request: LookRequest) -> Look:
        self.requests.append(request)
        self.entered.put_nowait(request)
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        scores = tuple(
            QuestionScore("redness", "red", "is_red", index, red, red - 0.5)
            for index, red in enumerate(redness(views.first) for views in request.images)
        )
        return Look(
            scores=scores if request.flags else (),
            attributes=(AttributeValue("colour", "red", 0.5),) if request.attributes else (),
            description=f"{len(request.images)} pictures" if request.description else None,
            language=request.listing.language,
            timings={"wait": 0.001, "look": 0.002},
        )

    async def close(self) -> None:
        self.hold.set()


def redness(pixels: np.ndarray) -> float:
    red, green, blue = (float(value) for value in pixels.reshape(-1, 3).mean(axis=0))
    return red / max(1.0, red + green + blue)


def png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def card(colour: str | tuple[int, int, int], size: tuple[int, int] = (60, 40)) -> bytes:
    """Return a PNG file of one colour."""
    return png(Image.new("RGB", size, colour))


def printed(text: str) -> bytes:
    """Return a PNG file with the text in large print."""
    image = Image.new("RGB", (420, 200), (225, 225, 220))
    ImageDraw.Draw(image).text((40, 70), text, fill="black", font=ImageFont.load_default(48))
    return png(image)


def qr_code(content: str) -> bytes:
    """Return a PNG file with a QR code."""
    code = zxingcpp.create_barcode(content, zxingcpp.BarcodeFormat.QRCode)
    return png(Image.fromarray(np.asarray(code.to_image(scale=4, add_quiet_zones=True))).convert("RGB"))


def blinking() -> bytes:
    """Return a GIF that shows blue, then red, then blue."""
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("blue", "red", "navy")]
    file = BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()


def check(files: Sequence[bytes]) -> CheckRequest:
    """Return a check of these files that wants everything."""
    return CheckRequest(images=[SentImage(data=data) for data in files])
