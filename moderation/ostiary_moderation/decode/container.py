"""Image containers seen from outside: which format a file claims to be, and where its image ends.

Nothing is decoded here. What follows the end of the image (phones append previews, depth maps and videos,
smugglers append archives) is dropped before a decoder sees the file.
"""

import re
from collections.abc import Callable, Mapping

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# A marker that ends a run of entropy-coded JPEG data: not a stuffed zero, a fill byte or a restart marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_JPEG_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def sniff(data: bytes) -> str | None:
    """Return Pillow's name of the format that the first bytes claim; None if it is not an accepted one."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(_PNG_SIGNATURE):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(b"BM"):
        return "BMP"
    if data.startswith((b"II*\x00", b"MM\x00*")):
        return "TIFF"
    return None


def image_end(image_format: str, data: bytes) -> int:
    """Return the offset just past the image; the file's length where no end is marked or found."""
    find = _END_OF.get(image_format)
    end = find(data) if find else None
    return len(data) if end is None else min(end, len(data))


def _jpeg_end(data: bytes) -> int | None:
    position = 2
    while match := _JPEG_MARKER.search(data, position):
        marker, position = data[match.start() + 1], match.end()
        if marker == 0xD9:
            return position
        if marker not in _JPEG_STANDALONE:
            position += int.from_bytes(data[position : position + 2], "big")
    return None


def _png_end(data: bytes) -> int | None:
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] == b"IEND":
            return end
        position = end
    return None


def _gif_end(data: bytes) -> int | None:
    position = 13 + _gif_table(data, 10)
    while position < len(data):
        kind = data[position]
        if kind == 0x3B:
            return position + 1
        if kind == 0x21:
            position = _gif_blocks_end(data, position + 2)
        elif kind == 0x2C:
            position = _gif_blocks_end(data, position + 11 + _gif_table(data, position + 9))
        else:
            return None
    return None


def _gif_table(data: bytes, flags_at: int) -> int:
    """Return the size in bytes of the colour table that the flags announce."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _gif_blocks_end(data: bytes, position: int) -> int:
    while position < len(data) and data[position]:
        position += data[position] + 1
    return position + 1


def _webp_end(data: bytes) -> int:
    size = int.from_bytes(data[4:8], "little")
    return 8 + size + size % 2


_END_OF: Mapping[str, Callable[[bytes], int | None]] = {
    "JPEG": _jpeg_end,
    "PNG": _png_end,
    "GIF": _gif_end,
    "WEBP": _webp_end,
}
