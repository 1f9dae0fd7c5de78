"""What can be known of a PNG without decoding it, which is the pods' work."""

import struct
import zlib

MIB = 1024 * 1024
MAX_BYTES = MIB
MAX_SIDE = 4096

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">I4sII5x")  # length and type of the first chunk, width, height
_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def fault(image: bytes) -> str:
    """Why bytes cannot be the image of a mark, in words; empty where nothing speaks against it.

    Signature, header and end are looked at. Whether the pixels between them are sound shows in a pod.
    """
    if not image:
        return "there is none; give a PNG file"
    if len(image) > MAX_BYTES:
        return f"{len(image):,} bytes; at most {MAX_BYTES:,} (1 MiB): make it smaller, 512 pixels are enough"
    if not image.startswith(_SIGNATURE):
        return "it is not a PNG file; convert it to one"
    start = len(_SIGNATURE)
    header = image[start : start + _HEADER.size + 4]
    if len(header) < _HEADER.size + 4 or not image.endswith(_END):
        return "the PNG file is cut off; export it again"
    length, kind, width, height = _HEADER.unpack_from(header)
    (crc,) = struct.unpack_from(">I", header, _HEADER.size)
    if (length, kind) != (13, b"IHDR") or zlib.crc32(header[4 : _HEADER.size]) != crc:
        return "the PNG file's header is damaged; export it again"
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        return f"{width:,} × {height:,} pixels; 1 to {MAX_SIDE:,} are taken on each side"
    return ""
