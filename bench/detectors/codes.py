"""Codes to lay over photographs, in every symbology that leads buyers elsewhere."""

from __future__ import annotations

import random
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import segno
import zxingcpp
from PIL import Image

from bench.detectors import wording

LEAST_SIDE = 80
SYMBOLOGIES = ("QRCode", "MicroQRCode", "DataMatrix", "Aztec", "PDF417")
_MOST_SIDE = 300
# A module of a larger symbol would be less than two pixels wide, which no phone reads either.
_WIDEST = {"PDF417": 260}


@dataclass(frozen=True)
class Code:
    """A code to draw. `side`: its width in pixels, without the margin. `quiet`: margin as a share of it."""

    symbology: str
    payload: str
    side: int
    quiet: float
    image: Image.Image


def made(source: random.Random, number: int) -> Code:
    """A code: three of four are QR codes, of the others each symbology takes its turn."""
    others = SYMBOLOGIES[1:]
    symbology = "QRCode" if number % 4 else others[number // 4 % len(others)]
    payload = _payload(source, symbology)
    least = _WIDEST.get(symbology, LEAST_SIDE)
    side = round(least * (_MOST_SIDE / least) ** source.random())
    if symbology in ("QRCode", "MicroQRCode"):
        return _qr(source, symbology, payload, side)
    return _other(symbology, payload, side)


def _payload(source: random.Random, symbology: str) -> str:
    if symbology == "MicroQRCode":
        return f"wxid{source.randint(10**5, 10**6 - 1)}"
    return source.choice([
        f"https://{wording.site(source)}/{wording.handle(source)}",
        f"https://u.wechat.com/{wording.handle(source)}",
        f"https://wa.me/{source.randint(10**10, 10**11)}",
        f"https://qr.alipay.com/fkx{source.randint(10**8, 10**9)}",
        f"weixin://contacts/profile/{wording.handle(source)}",
        f"tel:{wording.phone_cn(source)}",
    ])  # fmt: skip


def _qr(source: random.Random, symbology: str, payload: str, side: int) -> Code:
    code = segno.make(payload, error=source.choice("lm"), micro=symbology == "MicroQRCode", boost_error=False)
    border = source.choice([2, 4])
    stream = BytesIO()
    dark = source.choice(["#000000", "#000000", "#14285a", "#5a1414", "#323232"])
    code.save(stream, kind="png", scale=8, border=border, dark=dark, light="#ffffff")
    modules = code.symbol_size(border=0)[0]
    return Code(symbology, payload, side, border / modules, Image.open(stream).convert("RGB"))


def _other(symbology: str, payload: str, side: int) -> Code:
    code = zxingcpp.create_barcode(payload, zxingcpp.barcode_format_from_str(symbology))
    grey = np.asarray(code.to_image(scale=8, add_quiet_zones=False))
    margin = 16
    card = np.pad(grey, margin, constant_values=255)
    return Code(symbology, payload, side, margin / grey.shape[1], Image.fromarray(card).convert("RGB"))
