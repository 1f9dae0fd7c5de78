"""Brands for the gateway's tests. All of them are made up."""

import struct
import zlib
from pathlib import Path
from typing import Any

import yaml

from gateway import sights
from ostiary.v1.observation_pb2 import BrandCandidate, DetectorInfo, Observations
from ostiary_gateway.brands.in_force import Brands, Registry
from ostiary_gateway.brands.reading import read_registry


def png(shade: int = 0, side: int = 8) -> bytes:
    """A PNG of one shade of grey."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes([shade]) * side) * side)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


def brand(name: str = "zorvane", shade: int = 0, **more: Any) -> dict[str, Any]:
    """A brand with a word and a mark of its own, with other values than these; None leaves one out."""
    values: dict[str, Any] = {
        "id": name,
        "displayName": name.capitalize(),
        "words": [{"referenceId": f"{name}-word", "text": name.upper()}],
        "marks": [{"referenceId": f"{name}-mark", "imageFile": f"marks/{shade}.png"}],
        **more,
    }
    return {key: value for key, value in values.items() if value is not None}


def text(*brands: dict[str, Any], **more: Any) -> str:
    """NAME.yaml of a registry `house` with these brands."""
    values = {"name": "house", "version": "1", "brands": list(brands or [brand()]), **more}
    return yaml.safe_dump({key: value for key, value in values.items() if value is not None}, sort_keys=False)


def load_image(path: str) -> bytes:
    """`marks/7.png` is of shade 7; there are no others."""
    folder, _, file = path.partition("/")
    if folder != "marks":
        raise FileNotFoundError(2, "No such file or directory")
    return png(int(file.removesuffix(".png")))


def registry(*brands: dict[str, Any], **more: Any) -> Registry:
    """The registry of `text`, valid."""
    name = more.get("name", "house")
    return Registry.of(read_registry(f"{name}.yaml", text(*brands, **more), load_image))


def in_force(*brands: dict[str, Any], **more: Any) -> Brands:
    """One registry in force."""
    return Brands.of([registry(*brands, **more)])


def write(folder: Path, *brands: dict[str, Any], **more: Any) -> None:
    """A registry and the images that its brands name, as files of a folder."""
    for each in brands or [brand()]:
        for mark in each.get("marks", []):
            path = folder / mark["imageFile"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(load_image(mark["imageFile"]))
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / ".staged"
    staged.write_text(text(*brands, **more), encoding="utf-8")
    staged.replace(folder / f"{more.get('name', 'house')}.yaml")


def candidate(
    name: str = "zorvane",
    score: float = 0.99,
    kind: str = "figurative",
    image: int = 0,
    x: int = 5,
    reference: str | None = None,
) -> BrandCandidate:
    """What a pod says of a mark that it saw."""
    reference_id = reference or f"{name}-{'word' if kind == 'word' else 'mark'}"
    return BrandCandidate(
        brand=name, reference_id=reference_id, score=score, kind=kind, region=sights.region(image, x)
    )


def compared(gallery: bytes, *candidates: BrandCandidate, completed: bool = True) -> Observations:
    """What a pod whose logo detector holds a gallery adds to what it says."""
    error = "" if completed else "out of memory"
    detector = DetectorInfo(name="logo", completed=completed, error=error, policies=["logo_infringement"])
    return Observations(
        brands=candidates,
        detectors=[detector],
        capabilities=["logo_infringement"],
        gallery_digest=gallery,
    )
