"""One untrusted file to one canonical image. Pure: bytes in, bytes out, no state.

The canonical file is a fresh JPEG or PNG without metadata. What is judged is what that file decodes to, so
whoever publishes the canonical bytes publishes exactly what was looked at: two viewers that read the original
differently no longer matter.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

# Importing the plug-ins by name keeps Pillow from loading every other format that it knows.
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)
from PIL.JpegImagePlugin import get_sampling

from ostiary_moderation.decode.blur import blurred
from ostiary_moderation.decode.container import image_end, sniff
from ostiary_moderation.decode.frames import ImageFaultError, judged_frames
from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.result import Canonical, Fault, FaultCode, Frame, canonical
from ostiary_moderation.views import ViewSpec, resized, view_sizes

PLUGINS = (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
JPEG_QUALITY = 92
_HALVED = 2  # Pillow's number for a JPEG file with half the rows and columns of colour, as cameras write it
# Screenshots, logos and drawings come in these and stay exact while they are small.
_EXACT_FORMATS = ("PNG", "GIF", "BMP", "TIFF")
_EXACT_PIXELS = 1_000_000
_DETAIL_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of an image beside its canonical file."""

    pixels: bool = True
    """Full pixels of every frame."""

    views: ViewSpec | None = None
    """Views of every frame; None for none."""


def canonicalise(
    data: bytes, limits: Limits | None = None, wanted: Wanted | None = None
) -> Canonical | Fault:
    """Decode a JPEG, PNG, WebP, GIF, BMP or TIFF file into its canonical form, or say why that fails.

    Never raises for what the file holds. Files past the limits, decoders that run out of memory and
    decompression bombs are `too_large`; everything else that a decoder objects to is `unreadable`.
    """
    limits = limits or Limits()
    if not data:
        return Fault(FaultCode.EMPTY, "the image has no bytes")
    if len(data) > limits.max_bytes:
        return Fault(FaultCode.TOO_LARGE, f"{len(data)} bytes; at most {limits.max_bytes} are accepted")
    image_format = sniff(data)
    if image_format is None:
        return Fault(FaultCode.UNSUPPORTED_FORMAT, "not a JPEG, PNG, WebP, GIF, BMP or TIFF file")
    try:
        return _decode(data, image_format, limits, wanted or Wanted())
    except ImageFaultError as refused:
        return refused.fault
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # The decoder refuses before our own count of pixels, and in words that name its limit, not ours.
        return Fault(
            FaultCode.TOO_LARGE, f"a decompression bomb; at most {limits.max_pixels} pixels are accepted"
        )
    except MemoryError:
        return Fault(FaultCode.TOO_LARGE, "decoding takes more memory than allowed")
    except UnidentifiedImageError:
        return Fault(
            FaultCode.UNREADABLE, f"{image_format}: a broken header, or one of a kind that is not read"
        )
    except Exception as error:  # a decoder raises whatever the file makes it raise
        return Fault(FaultCode.UNREADABLE, f"{image_format}: {_words(error) or type(error).__name__}")


def _decode(data: bytes, image_format: str, limits: Limits, wanted: Wanted) -> Canonical:
    notes: list[str] = []
    end = image_end(image_format, data)
    if end < len(data):
        notes.append(f"trailing data dropped ({len(data) - end} bytes)")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        frames, chroma = _open_and_judge(data[:end], image_format, limits, notes)
    notes.extend(sorted({f"decoder warned: {_words(item.message)}" for item in caught}))
    file, media_type = _encode(frames[0], image_format, chroma)
    frames[0] = _as_published(file, media_type, frames[0])
    sizes = view_sizes(frames[0].height, frames[0].width, wanted.views) if wanted.views else ()
    return canonical(
        data,
        media_type=media_type,
        size=frames[0].size,
        file=file,
        blurred=blurred(frames[0]),
        frames=[_frame(index, image, sizes, wanted) for index, image in frames.items()],
        notes=notes,
        view_sizes=sizes,
    )


def _frame(index: int, image: Image.Image, sizes: Sequence[tuple[int, int]], wanted: Wanted) -> Frame:
    pixels = image.tobytes() if wanted.pixels else b""
    return Frame(index, pixels, tuple(resized(image, size).tobytes() for size in sizes))


def _open_and_judge(
    data: bytes, image_format: str, limits: Limits, notes: list[str]
) -> tuple[dict[int, Image.Image], str]:
    """Return the frames to judge, and the chroma subsampling that loses none of their colour."""
    with Image.open(BytesIO(data), formats=[image_format]) as image:
        if min(image.size) < 1:
            raise ImageFaultError(FaultCode.UNREADABLE, f"{image.width}x{image.height} pixels")
        if max(image.size) > limits.max_aspect * min(image.size):
            strip = f"{image.width}x{image.height} pixels: a strip, not a picture"
            raise ImageFaultError(FaultCode.UNREADABLE, strip)
        frames = judged_frames(image, limits, notes)
        halved = get_sampling(image) == _HALVED and sorted(frames[0].size) == sorted(image.size)
        return frames, "4:2:0" if halved else "4:4:4"


def _encode(image: Image.Image, source_format: str, chroma: str) -> tuple[bytes, str]:
    """Return the canonical file and its media type: PNG for small images from exact formats, else JPEG."""
    file = BytesIO()
    # The encoders would write some of what the original carried: a comment, for one, into a JPEG file.
    image.info.clear()
    if source_format in _EXACT_FORMATS and image.width * image.height <= _EXACT_PIXELS:
        image.save(file, "PNG")
        return file.getvalue(), "image/png"
    image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=chroma)
    return file.getvalue(), "image/jpeg"


def _as_published(file: bytes, media_type: str, image: Image.Image) -> Image.Image:
    if media_type == "image/png":
        return image
    with Image.open(BytesIO(file), formats=["JPEG"]) as published:
        published.load()
        return published


def _words(error: object) -> str:
    """Return a message fit for a log: one line, printable, short. Files can put text of their own into it."""
    text = " ".join(str(error).split())
    return "".join(character for character in text if character.isprintable())[:_DETAIL_LENGTH]
