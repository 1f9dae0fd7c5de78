"""Text in images, Chinese and Latin, by rapidocr (PP-OCRv6); its models come with its package.

Nothing is ever downloaded: the detector starts with the models on disk or not at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydantic import BaseModel, ConfigDict, Field

from ostiary.v1.image_pb2 import Box, Region
from ostiary.v1.observation_pb2 import OcrSpan
from ostiary_moderation.detector import DecodedImage, Detections, Example, IncompleteError
from ostiary_moderation.detectors.regions import region

_MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}

# Sides in pixels below which a coarser copy shows nothing that can be read.
_LEAST_COARSE = 160
_SAME = 0.5


class OcrSettings(BaseModel):
    """Settings of the OCR detector in a bundle. Sides in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_side: int = Field(default=736, ge=32, le=2048)
    """Images whose shorter side is less are enlarged to it: print of 9 pixels becomes legible. Of 43 word
    marks on 40 photographs of 400 × 533, most with capitals of 5 to 9 pixels, 12 are named with 480, 13 with
    736 and 15 with 736 and a coarser copy, in 0.19, 0.42 and 0.54 s of one core; 1000 names no more. A look
    at half the size beforehand, to skip images without text, saves nothing: the texture of cloth resembles
    print enough for four photographs of five to need the second."""

    max_side: int = Field(default=1280, ge=64, le=4096)
    """Text is looked for in a copy whose longer side is at most this; found text is read in full resolution.
    Time grows with the square: about 1.1 s per megapixel on one core."""

    coarse: float = Field(default=0.65, ge=0, lt=1)
    """Text is looked for once more in a copy whose sides are this share of the first one's: what is too large
    or too coarse for the one is found in the other. 0: not."""

    min_confidence: float = Field(default=0.5, ge=0, le=1)
    """Text read with less confidence is left out."""

    max_texts: int = Field(default=400, ge=1, le=1000)
    """Pieces of text in one image; with more of them the detector does not complete."""


class OcrDetector:
    """Finds and reads text: contact details, addresses of other shops, claims, brand names."""

    name = "ocr"
    policies = ("prohibited_ads",)

    def __init__(self, settings: Mapping[str, Any], threads: int) -> None:
        """Load the models. Raises ValueError for settings that do not fit and for missing models."""
        # Imported here: it pulls in OpenCV and ONNX Runtime, which a pod without OCR does not need.
        import cv2
        import rapidocr

        self._settings = OcrSettings.model_validate(dict(settings))
        self.version = f"rapidocr {version('rapidocr')} PP-OCRv6"
        cv2.setNumThreads(threads)
        folder = Path(rapidocr.__file__).parent / "models"
        self._reader = rapidocr.RapidOCR(params=_parameters(self._settings, _models(folder), threads))
        # Each model is loaded when it is first needed; the first request should not wait for that.
        self.detect([DecodedImage(0, 0, _draw("ready"))])

    def detect(self, images: Sequence[DecodedImage]) -> Detections:
        """Read the text in the images, top to bottom."""
        return Detections(ocr=tuple(span for image in images for span in self._detect_in(image)))

    def _detect_in(self, image: DecodedImage) -> list[OcrSpan]:
        pixels, scale = _enlarged(image.pixels, self._settings.min_side, self._settings.max_side)
        return [
            OcrSpan(
                text=text,
                confidence=float(score),
                region=region(image, [(x / scale, y / scale) for x, y in box]),
            )
            for box, text, score in self._read(np.ascontiguousarray(pixels[:, :, ::-1]))
        ]

    def _read(self, pixels: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.float32], str, float]]:
        """Yield corners, text and confidence: the steps of `RapidOCR.__call__`, but for two.

        Sizes are not changed first, which would blow a strip of one pixel up to gigabytes. And the pieces are
        counted: reading takes about 25 ms for each. Where there are too many none is read, since to read some
        would leave the choice of those unread to whoever made the image.
        """
        from rapidocr.main import RapidOCRError
        from rapidocr.utils.output import RapidOCROutput

        record = {"preprocess": {"ratio_h": 1.0, "ratio_w": 1.0}}
        try:
            pieces, found = self._found(pixels, record)
        except RapidOCRError:  # what it calls an image without text
            return
        if len(pieces) > self._settings.max_texts:
            most = self._settings.max_texts
            raise IncompleteError(f"{len(pieces)} pieces of text; at most {most} are read")
        pieces, upright = self._reader.cls_and_rotate(pieces)
        texts = self._reader.recognize_txt(pieces)
        read = self._reader.build_final_output(pixels, found, upright, texts, pieces, record)
        if isinstance(read, RapidOCROutput) and read.boxes is not None and read.txts and read.scores:
            yield from zip(read.boxes, read.txts, read.scores, strict=True)

    def _found(self, pixels: NDArray[np.uint8], record: dict[str, Any]) -> tuple[list[Any], Any]:
        """Pieces of the picture with text in them, and where they are: those of the picture as it is, and
        from a coarser copy those that the first look has not found. Raises RapidOCRError for no text.
        """
        from rapidocr.main import RapidOCRError

        height, width = pixels.shape[:2]
        small = (round(width * self._settings.coarse), round(height * self._settings.coarse))
        if min(small) < _LEAST_COARSE:
            return self._reader.detect_and_crop(pixels, record)
        first: Any = None
        second: Any
        with suppress(RapidOCRError):  # the coarser copy may show what this does not
            _, first = self._reader.detect_and_crop(pixels, record)
        copy = np.asarray(Image.fromarray(pixels).resize(small, Image.Resampling.BILINEAR))
        try:
            _, second = self._reader.detect_and_crop(copy, record)
        except RapidOCRError:
            if first is None:
                raise
            return self._reader.crop_text_regions(pixels, first.boxes), first
        factor = np.array([width / small[0], height / small[1]], dtype=np.float32)
        second.boxes = np.asarray(second.boxes, dtype=np.float32) * factor
        found = second if first is None else _joined(first, second)
        return self._reader.crop_text_regions(pixels, found.boxes), found

    def examples(self) -> Iterator[Example]:
        """Contact details in English, drawn here, and in Chinese, from a file; and an image without text."""
        english = "WhatsApp 5550100234"
        yield _example(english, _draw(english))
        # Set in Noto Sans SC (SIL Open Font License) at 16 pixels over a photograph of a shirt (CC0 1.0).
        chinese = files(__package__).joinpath("examples/contact_zh.png")
        with chinese.open("rb") as file, Image.open(file, formats=["PNG"]) as image:
            yield _example("加微信13800138000", np.asarray(image.convert("RGB")))
        yield Example("no text", np.full((240, 320, 3), 200, np.uint8))


def _joined(first: Any, second: Any) -> Any:
    """The first look's places, and the second's that none of those overlaps, top to bottom."""
    known = [_bounds(box) for box in first.boxes]
    new = [index for index, box in enumerate(second.boxes) if not _overlapped(_bounds(box), known)]
    boxes = [*first.boxes, *(second.boxes[index] for index in new)]
    scores = [*first.scores, *(second.scores[index] for index in new)]
    order = sorted(range(len(boxes)), key=lambda index: (_bounds(boxes[index])[1], _bounds(boxes[index])[0]))
    first.boxes = np.array([boxes[index] for index in order], dtype=np.float32)
    first.scores = [scores[index] for index in order]
    return first


def _bounds(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom."""
    (left, top), (right, bottom) = np.min(box, axis=0), np.max(box, axis=0)
    return float(left), float(top), float(right), float(bottom)


def _overlapped(
    one: tuple[float, float, float, float], others: Sequence[tuple[float, float, float, float]]
) -> bool:
    """Whether another shares half of the smaller one's area, which makes them the same text."""
    for other in others:
        width = min(one[2], other[2]) - max(one[0], other[0])
        height = min(one[3], other[3]) - max(one[1], other[1])
        if width > 0 and height > 0:
            areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
            if width * height >= _SAME * min(areas):
                return True
    return False


def _models(folder: Path) -> dict[str, Path]:
    paths = {task: folder / name for task, name in _MODELS.items()}
    for path in paths.values():
        if not path.is_file():
            raise ValueError(f"{path} is missing; reinstall rapidocr, whose package holds its models")
    return paths


def _parameters(settings: OcrSettings, models: Mapping[str, Path], threads: int) -> dict[str, Any]:
    return {
        "Global.log_level": "critical",
        "Global.text_score": settings.min_confidence,
        # What is found is cut out of the image as given; only the search works on a smaller copy.
        "Det.limit_type": "max",
        "Det.limit_side_len": settings.max_side,
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        **{f"{task}.model_path": str(path) for task, path in models.items()},
    }


def _enlarged(pixels: NDArray[np.uint8], min_side: int, max_side: int) -> tuple[NDArray[np.uint8], float]:
    """Enlarge a small image, but never past `max_side`; return it with the factor."""
    height, width = pixels.shape[:2]
    scale = min(min_side / min(height, width), max_side / max(height, width))
    if scale <= 1:
        return pixels, 1.0
    size = (round(width * scale), round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)), scale


def _draw(text: str) -> NDArray[np.uint8]:
    """Return the text in black on light grey, height × width × 3, at 20 pixels."""
    image = Image.new("RGB", (360, 200), (225, 225, 220))
    ImageDraw.Draw(image).text((30, 90), text, fill="black", font=ImageFont.load_default(20))
    return np.asarray(image)


def _example(text: str, pixels: NDArray[np.uint8]) -> Example:
    height, width = pixels.shape[:2]
    whole = Region(box=Box(x=0, y=0, width=width, height=height))
    return Example(text, pixels, Detections(ocr=(OcrSpan(text=text, region=whole),)))
