"""Draws the demo's images: `python proto/demo_images.py [FOLDER]`, by default into proto/ostiary/demo/images.

The photographs come with scikit-image: `astronaut` (NASA, public domain), `coffee` (Rachel Michetti for
Pikolo Espresso Bar, CC0) and `chelsea` (Stéfan van der Walt, CC0). All else is drawn here, with Noto Sans SC
(SIL Open Font License 1.1) for the words. Numbers and names are made up, the addresses of `example` domains.
"""

import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pylopdf_fonts_zh_cn
import segno
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from skimage import data

HERE = Path(__file__).resolve().parent
JPEG_QUALITY = 82
SUPERSAMPLING = 3  # shapes are drawn this many times larger and scaled down, for smooth edges
INK = (30, 30, 34)
PAPER = (250, 248, 240)

Point = tuple[float, float]
RED_SHIRT = (178, 58, 64)


def photo(name: str, width: int) -> Image.Image:
    """One of scikit-image's photographs, scaled to `width` pixels."""
    picture = Image.fromarray(getattr(data, name)())
    height = round(picture.height * width / picture.width)
    return picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def font(size: int) -> ImageFont.FreeTypeFont:
    """Noto Sans SC, which has Latin and Chinese letters."""
    return ImageFont.truetype(str(pylopdf_fonts_zh_cn.sans_path()), size)


def mirrored(right: list[Point]) -> list[Point]:
    """An outline that is symmetrical about x = 0.5, from its right half, top to bottom."""
    return right + [(1 - x, y) for x, y in reversed(right)]


def drawn(size: int, outline: list[Point], colour: tuple[int, int, int]) -> Image.Image:
    """A flat shape with a soft shadow on a pale background, like a packshot. Coordinates from 0 to 1."""
    large = size * SUPERSAMPLING
    points = [(x * large, y * large) for x, y in outline]
    mask = Image.new("L", (large, large))
    ImageDraw.Draw(mask).polygon(points, fill=255)
    shadow = mask.filter(ImageFilter.GaussianBlur(large / 40)).point(lambda value: value // 4)
    picture = Image.new("RGB", (large, large), (238, 238, 236))
    picture.paste((90, 90, 94), (large // 90, large // 60), shadow)
    shade = Image.linear_gradient("L").resize((large, large)).point(lambda value: 40 - value // 6)
    body = Image.new("RGB", (large, large), colour)
    body.paste((255, 255, 255), (0, 0), shade.point(lambda value: max(value, 0)))
    picture.paste(body, (0, 0), mask)
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def shirt(size: int, colour: tuple[int, int, int]) -> Image.Image:
    """A T-shirt laid flat, without print."""
    collar = [(0.50, 0.215), (0.56, 0.20), (0.60, 0.165)]
    sleeve = [(0.67, 0.185), (0.90, 0.36), (0.81, 0.47), (0.725, 0.405)]
    outline = mirrored([*collar, *sleeve, (0.715, 0.86)])
    picture = drawn(size, outline, colour)
    seams = ImageDraw.Draw(picture)
    dark = tuple(value * 3 // 4 for value in colour)
    seams.arc((0.40 * size, 0.10 * size, 0.60 * size, 0.235 * size), 20, 160, fill=dark, width=2)
    seams.line((0.29 * size, 0.845 * size, 0.71 * size, 0.845 * size), fill=dark, width=1)
    return picture


def bag(size: int) -> Image.Image:
    """A bag in grey on a transparent background."""
    large = size * SUPERSAMPLING
    layer = Image.new("LA", (large, large), (255, 0))
    pen = ImageDraw.Draw(layer)
    pen.arc(
        (0.34 * large, 0.10 * large, 0.66 * large, 0.62 * large), 180, 360, fill=(70, 255), width=large // 40
    )
    body = [(0.22, 0.36), (0.78, 0.36), (0.86, 0.88), (0.14, 0.88)]
    pen.polygon([(x * large, y * large) for x, y in body], fill=(132, 255))
    pen.rectangle((0.22 * large, 0.36 * large, 0.78 * large, 0.43 * large), fill=(100, 255))
    return layer.resize((size, size), Image.Resampling.LANCZOS)


def lettered(picture: Image.Image, lines: list[str], size: int) -> Image.Image:
    """The picture with a band of text along its foot."""
    pitch = size * 3 // 2
    band = pitch * len(lines) + size // 2
    top = picture.height - band
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, top, picture.width, picture.height), fill=PAPER)
    for number, line in enumerate(lines):
        pen.text((size // 2, top + size // 5 + number * pitch), line, font=font(size), fill=INK)
    return picture


def with_qr_code(picture: Image.Image, payload: str, module: int) -> Image.Image:
    """The picture with a QR code in its lower right corner; `module` is the side of a dot in pixels."""
    code = io.BytesIO()
    segno.make_qr(payload, error="m").save(code, kind="png", scale=module, border=4)
    square = Image.open(code).convert("RGB")
    picture.paste(square, (picture.width - square.width - 12, picture.height - square.height - 12))
    return picture


def jpeg(picture: Image.Image) -> bytes:
    """The picture as a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0, optimize=True)
    return file.getvalue()


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def truncated() -> bytes:
    """A JPEG file that stops in the middle of its pixels."""
    whole = jpeg(shirt(320, (52, 96, 140)))
    return whole[: len(whole) * 2 // 5]


def bomb() -> bytes:
    """A tiny PNG file that declares 30,000 × 30,000 pixels, 2.7 GB once decoded."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1 << 20), 9)), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


CHINESE_CONTACT = ["微信 ostiary8866 优惠下单", "电话 13800138000"]
QR_PAYLOAD = "https://shop.example/join?from=photo"
ENGLISH_CONTACT = ["WhatsApp +44 7700 900123", "or mail sales@shop.example"]

IMAGES: dict[str, Callable[[], bytes]] = {
    "coffee.jpg": lambda: jpeg(photo("coffee", 600)),
    "astronaut.jpg": lambda: jpeg(photo("astronaut", 512)),
    "cat.jpg": lambda: jpeg(photo("chelsea", 451)),
    "shirt.png": lambda: png(shirt(512, RED_SHIRT)),
    "bag-grey-alpha.png": lambda: png(bag(400)),
    "contact-zh.jpg": lambda: jpeg(lettered(photo("coffee", 600), CHINESE_CONTACT, 34)),
    "contact-en.jpg": lambda: jpeg(lettered(shirt(560, (58, 110, 92)), ENGLISH_CONTACT, 32)),
    "qr-code.jpg": lambda: jpeg(with_qr_code(photo("coffee", 600), QR_PAYLOAD, 5)),
    "truncated.jpg": truncated,
    "bomb.png": bomb,
}


def main(folder: Path) -> None:
    """Writes all images into `folder`, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in IMAGES.items():
        (folder / name).write_bytes(draw())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "ostiary" / "demo" / "images")
