"""Icons to learn marks from: shapes of brands and of other things, in groups of those that look alike."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128
"""Pixels: of an icon as it is kept, the longer side filled."""
PARTS = ("train", "threshold", "test")
_PACKAGES = (("simple_icons_pack", "brand"), ("material_design_icons_pack", "thing"))
_SMALL = 24
_ALIKE = 0.82
_HELD_OUT = {"threshold": 0.13, "test": 0.16}
Ink = NDArray[np.uint8]


@dataclass(frozen=True)
class Icons:
    """Shapes by number. `inks`: N × SIDE × SIDE, 255 where there is ink. `colours`: the brand's, N × 3.

    `groups`: number of the group of look-alikes. `brands`: whether it is a brand's mark. `parts`: index into
    PARTS; a group is in one part.
    """

    names: NDArray[np.str_]
    inks: Ink
    colours: NDArray[np.uint8]
    groups: NDArray[np.int64]
    brands: NDArray[np.bool_]
    parts: NDArray[np.int64]

    def of(self, part: str) -> NDArray[np.int64]:
        """Numbers of the icons of a part; of the held-out ones, brands' marks alone, one of each group."""
        numbers = np.flatnonzero(self.parts == PARTS.index(part))
        if part == "train":
            return numbers
        numbers = numbers[self.brands[numbers]]
        return numbers[np.unique(self.groups[numbers], return_index=True)[1]]


def load_icons(cache: Path, report: Callable[[str], None]) -> Icons:
    """The icons of the installed packages, drawn once and kept in the file `cache`.

    Raises ModuleNotFoundError where a package is missing.
    """
    if not cache.is_file():
        report("drawing icons, about two minutes; they are kept")
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(".partial.npz")
        np.savez_compressed(partial, **vars(_drawn()))
        partial.replace(cache)
    with np.load(cache) as kept:
        return Icons(**{name: kept[name] for name in Icons.__dataclass_fields__})


def filled(ink: Image.Image, side: int) -> Image.Image | None:
    """The ink cut out, its longer side `side` pixels, in the middle of a square; None without any."""
    box = ink.getbbox()
    if box is None:
        return None
    cut = ink.crop(box)
    scale = side / max(cut.size)
    size = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    square = Image.new("L", (side, side))
    square.paste(cut.resize(size, Image.Resampling.LANCZOS), ((side - size[0]) // 2, (side - size[1]) // 2))
    return square


def _drawn() -> Icons:
    names: list[str] = []
    inks: list[Ink] = []
    colours: list[tuple[int, ...]] = []
    brands: list[bool] = []
    for package, kind in _PACKAGES:
        for name, svg, colour in _icons_in(package):
            ink = _ink(svg)
            if ink is not None:
                names.append(f"{kind}:{name}")
                inks.append(ink)
                colours.append(tuple(bytes.fromhex(colour)))
                brands.append(kind == "brand")
    stack = np.stack(inks)
    groups = alike(stack)
    parts = _split(names, brands, groups)
    return Icons(
        np.array(names), stack, np.array(colours, np.uint8), groups, np.array(brands), np.array(parts)
    )


def _icons_in(package: str) -> Iterator[tuple[str, str, str]]:
    module: Any = import_module(package)
    icons = [value for value in vars(module).values() if isinstance(value, module.Icon)]
    for icon in sorted(icons, key=lambda icon: str(icon.slug)):
        yield icon.slug, icon.svg, getattr(icon, "hex", "000000").lstrip("#")


def _ink(svg: str) -> Ink | None:
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png))) as image:
        square = filled(image.getchannel("A"), SIDE)
    return None if square is None else np.asarray(square)


def alike(inks: Ink) -> NDArray[np.int64]:
    """For each shape the number of its group: those whose small copies correlate are in one, transitively."""
    small = _copies(inks)
    group = np.arange(len(inks))

    def root(one: int) -> int:
        while group[one] != one:
            group[one] = group[group[one]]
            one = int(group[one])
        return one

    for first in range(0, len(small), 1024):
        for row, other in zip(*np.nonzero(small[first : first + 1024] @ small.T > _ALIKE), strict=True):
            a, b = root(first + int(row)), root(int(other))
            group[max(a, b)] = min(a, b)
    return np.array([root(one) for one in range(len(inks))], np.int64)


def _copies(inks: Ink) -> NDArray[np.float32]:
    """Small copies of mean nothing and length one; N × pixels."""
    size = (_SMALL, _SMALL)
    copies = [Image.fromarray(ink).resize(size, Image.Resampling.BOX) for ink in inks]
    small = np.stack([np.asarray(copy, np.float32).ravel() for copy in copies])
    small -= small.mean(axis=1, keepdims=True)
    small /= np.linalg.norm(small, axis=1, keepdims=True) + 1e-6
    return small


def _split(names: Sequence[str], brands: Sequence[bool], groups: NDArray[np.int64]) -> list[int]:
    """Parts by the hash of each group's first brand; groups without a brand train."""
    leaders: dict[int, str] = {}
    for name, brand, group in zip(names, brands, groups, strict=True):
        if brand:
            leaders.setdefault(int(group), name)
    return [_part(leaders.get(int(group), "")) for group in groups]


def _part(leader: str) -> int:
    if not leader:
        return PARTS.index("train")
    place = int.from_bytes(hashlib.sha256(leader.encode()).digest()[:4], "big") / 2**32
    for part, share in _HELD_OUT.items():
        if place < share:
            return PARTS.index(part)
        place -= share
    return PARTS.index("train")
