"""The OCR detector's second look, at a coarser copy."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ostiary_moderation.detector import DecodedImage
from ostiary_moderation.detectors.ocr import OcrDetector


def drawn(*lines: str) -> DecodedImage:
    """Lines under one another, from small print to a headline, on grey."""
    image = Image.new("RGB", (800, 800), (225, 225, 220))
    for number, line in enumerate(lines):
        font = ImageFont.load_default(20 + 30 * number)
        ImageDraw.Draw(image).text((40, 60 + 160 * number), line, fill="black", font=font)
    return DecodedImage(0, 0, np.asarray(image))


@pytest.mark.parametrize("coarse", [0, 0.65, 0.9], ids=str)
def test_each_text_is_read_once_and_in_its_place(coarse: float) -> None:
    """What both looks find is one piece of text; the order is that of the first look, top to bottom."""
    reader = OcrDetector({"coarse": coarse}, threads=1)
    lines = ["MACHINE WASH COLD", "SUMMER SALE", "ADMIRAL", "OSTIA"]
    spans = reader.detect([drawn(*lines)]).ocr
    assert ["".join(span.text.split()) for span in spans] == ["".join(line.split()) for line in lines]
    tops = [span.region.box.y for span in spans]
    assert tops == sorted(tops)


@pytest.mark.parametrize("height", [1, 100, 800], ids=str)
def test_pictures_without_text_stay_without(height: int) -> None:
    """However small a copy would be."""
    blank = DecodedImage(0, 0, np.full((height, 800, 3), 200, np.uint8))
    assert not OcrDetector({}, threads=1).detect([blank]).ocr
