"""Observations as a pod makes them, for the gateway's tests."""

import hashlib
from collections.abc import Callable, Mapping

from hypothesis import strategies as st

from ostiary.v1.image_pb2 import Box, CanonicalImage, ImageFault, Region
from ostiary.v1.observation_pb2 import (
    Barcode,
    BundleInfo,
    CalibrationPoint,
    DetectorInfo,
    Observations,
    OcrSpan,
    PolicyScore,
)

QUESTION = ("prohibited_ads", "qr_code", "qr_code.visible")


def region(image: int = 0, x: int = 5) -> Region:
    return Region(image_index=image, box=Box(x=x, y=5, width=200, height=30))


def canonical(index: int, raw: bytes = b"raw", data: bytes = b"canonical") -> CanonicalImage:
    return CanonicalImage(
        image_index=index,
        raw_sha256=hashlib.sha256(raw).digest(),
        sha256=hashlib.sha256(data).digest(),
        media_type="image/png",
        width=640,
        height=480,
        size_bytes=len(data),
    )


def score(probability: float, image: int = 0, question: tuple[str, str, str] = QUESTION) -> PolicyScore:
    policy, label, name = question
    return PolicyScore(
        policy=policy, label=label, question=name, image_index=image, probability=probability, source="vlm"
    )


def point(precision: float, threshold: float, question: tuple[str, str, str] = QUESTION) -> CalibrationPoint:
    policy, label, name = question
    return CalibrationPoint(
        policy=policy, label=label, question=name, precision=precision, threshold=threshold
    )


def detector(name: str, *, completed: bool = True) -> DetectorInfo:
    error = "" if completed else "out of memory"
    return DetectorInfo(name=name, completed=completed, error=error, policies=["prohibited_ads"])


def clean(images: int = 1) -> Observations:
    """A bundle that judges prohibited_ads looked at all images and saw nothing."""
    return Observations(
        images=[canonical(index) for index in range(images)],
        scores=[score(0.01, index) for index in range(images)],
        calibration=[point(0.97, 0.8)],
        bundle=BundleInfo(name="mini", version="1", digest=b"d" * 32, weights_digest=b"w" * 32),
        detectors=[detector("ocr"), detector("barcode")],
        capabilities=["prohibited_ads"],
    )


def merged(*parts: Observations) -> Observations:
    whole = Observations()
    for part in parts:
        whole.MergeFrom(part)
    return whole


_INDEX = st.integers(-1, 3)
_NUMBER = st.one_of(st.floats(0, 1), st.sampled_from([float("nan"), float("inf"), -0.1, 1.1]))
_POLICY = st.sampled_from(["prohibited_ads", "nudity", "logo_infringement", "other"])
_LABEL = st.sampled_from(["qr_code", "contact_details", "explicit", "other"])
_QUESTION = st.tuples(_POLICY, _LABEL, st.sampled_from(["qr_code.visible", "q"]))
_TEXT = st.sampled_from(["", "42 44 46", "SUMMER", "微信：abc12345", "13800138000", "www.example.com"])
_CODES = st.sampled_from(["empty", "unreadable", "too_large", "unsupported_format", "odd", ""])

observations = st.builds(
    Observations,
    images=st.lists(st.builds(canonical, _INDEX), max_size=4),
    faults=st.lists(st.builds(ImageFault, image_index=_INDEX, code=_CODES), max_size=2),
    ocr=st.lists(st.builds(OcrSpan, text=_TEXT, region=st.builds(region, _INDEX)), max_size=3),
    barcodes=st.lists(
        st.builds(
            Barcode,
            format=st.sampled_from(["QRCode", "EAN13"]),
            text=st.sampled_from(["", "https://example.com", "690"]),
            region=st.builds(region, _INDEX),
        ),
        max_size=2,
    ),
    scores=st.lists(st.builds(score, _NUMBER, _INDEX, _QUESTION), max_size=4),
    calibration=st.lists(st.builds(point, _NUMBER, _NUMBER, _QUESTION), max_size=3),
    bundle=st.one_of(st.none(), st.just(BundleInfo(name="mini", version="1"))),
    detectors=st.lists(
        st.builds(detector, st.sampled_from(["ocr", "barcode", "x"]), completed=st.booleans()), max_size=3
    ),
    capabilities=st.lists(_POLICY, max_size=3),
)
"""Whatever a pod, sound or broken, might say of a check of two or three images."""


def _drop_detector(seen: Observations, name: str) -> None:
    kept = [item for item in seen.detectors if item.name != name]
    del seen.detectors[:]
    seen.detectors.extend(kept)


def _fail_detector(seen: Observations, name: str) -> None:
    for item in seen.detectors:
        if item.name == name:
            item.CopyFrom(detector(name, completed=False))


DAMAGES: Mapping[str, Callable[[Observations], object]] = {
    "a fault": lambda seen: seen.faults.add(image_index=1, code="unreadable"),
    "an image missing": lambda seen: seen.images.pop(0),
    "an image twice": lambda seen: seen.images.append(seen.images[0]),
    "an image too many": lambda seen: seen.images.append(canonical(7)),
    "an image before the first": lambda seen: seen.images.append(canonical(-1)),
    "an answer missing": lambda seen: seen.scores.pop(0),
    "not a number": lambda seen: seen.scores.append(score(float("nan"))),
    "above one": lambda seen: seen.scores.append(score(1.5)),
    "a table that is none": lambda seen: seen.calibration.append(point(0.97, float("nan"))),
    "no bundle": lambda seen: seen.ClearField("bundle"),
    "not capable": lambda seen: seen.ClearField("capabilities"),
    "no OCR": lambda seen: _drop_detector(seen, "ocr"),
    "no barcodes": lambda seen: _drop_detector(seen, "barcode"),
    "OCR failed": lambda seen: _fail_detector(seen, "ocr"),
    "barcodes failed": lambda seen: _fail_detector(seen, "barcode"),
    "text of no image": lambda seen: seen.ocr.append(OcrSpan(text="x", region=region(9))),
}
"""What can go wrong with the clean observations of two images; each alone must keep the check from ALLOW."""
