"""Files for the decoder's tests: ordinary, odd and hostile ones."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

RED = (200, 30, 40)


def save(image: Image.Image, image_format: str, **options: object) -> bytes:
    """Return the image as an encoded file."""
    file = BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def plain(image_format: str, size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    """Return a file of one colour."""
    return save(Image.new("RGB", size, RED), image_format, **options)


def noise(image_format: str, size: tuple[int, int] = (300, 300)) -> bytes:
    """Return a file that does not compress well."""
    return save(Image.effect_noise(size, 80).convert("RGB"), image_format)


def quadrants() -> Image.Image:
    """Return 64 × 48 pixels in four colours: red and green above, blue and white below."""
    image = Image.new("RGB", (64, 48), "white")
    image.paste((255, 0, 0), (0, 0, 32, 24))
    image.paste((0, 255, 0), (32, 0, 64, 24))
    image.paste((0, 0, 255), (0, 24, 32, 48))
    return image


def animation(image_format: str, frames: Sequence[Image.Image], **options: object) -> bytes:
    """Return a file of several frames."""
    return save(frames[0], image_format, save_all=True, append_images=frames[1:], **options)


def different_frames(count: int) -> list[Image.Image]:
    """Return small frames that all differ, so that no encoder drops one."""
    return [Image.effect_noise((20, 20), 40 + index).convert("RGB") for index in range(count)]


def png_header(width: int, height: int) -> bytes:
    """Return a PNG file that claims a size and holds next to nothing: a decompression bomb."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )
