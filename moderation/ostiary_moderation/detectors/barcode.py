"""Barcodes of every readable symbology, by zxing-cpp: QR codes above all, which lead buyers elsewhere."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import zxingcpp
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from ostiary.v1.image_pb2 import Box, Region
from ostiary.v1.observation_pb2 import Barcode
from ostiary_moderation.detector import DecodedImage, Detections, Example
from ostiary_moderation.detectors.regions import region

_MAX_PAYLOAD = 4096
_MAX_PER_IMAGE = 64


class BarcodeSettings(BaseModel):
    """Settings of the barcode detector in a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enlarge_below: int = Field(default=1200, ge=0)
    """Images whose longest side is at most this many pixels are looked at in double size too: a code whose
    modules are hardly larger than a pixel is missed otherwise, while a buyer's phone reads it."""


class BarcodeDetector:
    """Finds and decodes barcodes, turned, inverted or small."""

    name = "barcode"
    policies = ("prohibited_ads",)

    def __init__(self, settings: Mapping[str, Any], threads: int) -> None:
        """`threads` changes nothing: zxing-cpp uses one."""
        self._settings = BarcodeSettings.model_validate(dict(settings))
        self.version = f"zxing-cpp {version('zxing-cpp')}"

    def detect(self, images: Sequence[DecodedImage]) -> Detections:
        """Decode the codes in the images."""
        return Detections(barcodes=tuple(code for image in images for code in self._detect_in(image)))

    def _detect_in(self, image: DecodedImage) -> list[Barcode]:
        found: dict[tuple[str, bytes], Barcode] = {}
        for scale in self._scales(image.pixels):
            for code in _read(image.pixels, scale):
                barcode = _barcode(image, code, scale)
                found.setdefault((barcode.format, barcode.payload), barcode)
        return list(found.values())[:_MAX_PER_IMAGE]

    def _scales(self, pixels: NDArray[np.uint8]) -> tuple[int, ...]:
        return (1, 2) if max(pixels.shape[:2]) <= self._settings.enlarge_below else (1,)

    def examples(self) -> Iterator[Example]:
        """A code of each kind, one turned, one inverted, one among noise, and an image without any."""
        for name, content in (
            ("QRCode", "https://example.com/shop"),
            ("MicroQRCode", "12345"),
            ("DataMatrix", "https://example.com/dm"),
            ("Aztec", "https://example.com/az"),
            ("PDF417", "https://example.com/pdf"),
            ("EAN13", "4006381333931"),
            ("Code128", "OSTIARY-128"),
        ):
            yield _example(name, content, _draw(name, content))
        turned = np.rot90(_draw("QRCode", "turned"))
        yield _example("QRCode", "turned", turned)
        yield _example("QRCode", "inverted", 255 - _draw("QRCode", "inverted"))
        yield Example("no code", np.full((240, 320, 3), 200, np.uint8))


def _read(pixels: NDArray[np.uint8], scale: int) -> list[zxingcpp.Barcode]:
    if scale > 1:
        height, width = pixels.shape[:2]
        larger = Image.fromarray(pixels).resize((width * scale, height * scale), Image.Resampling.BICUBIC)
        pixels = np.asarray(larger)
    pixels = np.ascontiguousarray(pixels)
    view = zxingcpp.ImageView(pixels, pixels.shape[1], pixels.shape[0], zxingcpp.ImageFormat.RGB)
    return list(zxingcpp.read_barcodes(view))


def _barcode(image: DecodedImage, code: zxingcpp.Barcode, scale: int) -> Barcode:
    position = code.position
    corners = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    binary = code.content_type == zxingcpp.ContentType.Binary
    return Barcode(
        format=code.format.name,
        text="" if binary else code.text,
        payload=code.bytes[:_MAX_PAYLOAD],
        region=region(image, [(corner.x / scale, corner.y / scale) for corner in corners]),
    )


def _draw(symbology: str, content: str) -> NDArray[np.uint8]:
    """Return a code on a white card, height × width × 3."""
    code = zxingcpp.create_barcode(content, zxingcpp.barcode_format_from_str(symbology))
    grey = np.asarray(code.to_image(scale=4, add_quiet_zones=True))
    card = np.pad(grey, 24, constant_values=255)
    return np.stack([card] * 3, axis=-1)


def _example(symbology: str, content: str, pixels: NDArray[np.uint8]) -> Example:
    height, width = pixels.shape[:2]
    whole = Region(box=Box(x=0, y=0, width=width, height=height))
    expected = Barcode(format=symbology, text=content, payload=content.encode(), region=whole)
    return Example(f"{symbology} {content}", pixels, Detections(barcodes=(expected,)))
