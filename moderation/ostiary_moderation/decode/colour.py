"""Any decoded frame to opaque 8-bit sRGB, at most so many pixels long."""

from io import BytesIO

from PIL import Image, ImageCms

_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
# Orientation tag of EXIF → what makes the picture upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112


def to_srgb(image: Image.Image, max_side: int, notes: list[str]) -> Image.Image:
    """Return the loaded frame as mode RGB, upright and at most `max_side` pixels long; itself if it is so.

    What was done is added to `notes`. Scaling comes early: it bounds the memory that every later step takes.
    """
    orientation, profile = _orientation(image, notes), image.info.get("icc_profile")
    small = _shrink(_eight_bits(image, notes), max_side, notes)
    alpha = small.getchannel("A") if small.mode in ("LA", "RGBA") else None
    rgb = _apply_profile(_without_alpha(small), profile, notes)
    if alpha is not None and alpha.getextrema() != (255, 255):
        canvas = Image.new("RGB", rgb.size, "white")
        canvas.paste(rgb, mask=alpha)
        rgb = canvas
        _note(notes, "alpha over white")
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
        _note(notes, "orientation applied")
    return rgb


def _note(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)


def _orientation(image: Image.Image, notes: list[str]) -> int:
    """Return the EXIF orientation; broken EXIF is noted and counts as upright.

    Nothing hangs on it: what is judged is what is published, whatever another viewer makes of the tag.
    """
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow's EXIF parser raises whatever its parts raise
        _note(notes, "unreadable EXIF ignored")
        return 1
    return value if isinstance(value, int) else 1


def _eight_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    """Return the frame in one of the modes L, LA, RGB, RGBA, CMYK and LAB, all with 8 bits per channel."""
    if image.mode in _DEEP_GREY:
        _note(notes, "16 bit to 8 bit")
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("I", "F"):
        _note(notes, "32 bit scaled to 8 bit")
        return _stretch(image)
    # A convert to its own mode would copy an image that may fill a quarter of the memory allowed.
    if image.mode in ("LA", "RGBA"):
        return image
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in ("1", "L", "La") else "RGBA")
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _stretch(image: Image.Image) -> Image.Image:
    """Map the range of values found in a 32-bit frame onto 0 to 255: such files do not say what white is."""
    low, high = (float(value) for value in image.getextrema() if not isinstance(value, tuple))
    scale = 255 / (high - low) if high > low else 0.0
    return image.convert("F").point(lambda value: value * scale - low * scale).convert("L")


def _shrink(image: Image.Image, max_side: int, notes: list[str]) -> Image.Image:
    """Scale down by area, so that every pixel of the original counts: what a filter skips can hide."""
    longest = max(image.size)
    if longest <= max_side:
        return image
    width, height = (max(1, round(side * max_side / longest)) for side in image.size)
    _note(notes, f"scaled down from {image.width}x{image.height}")
    return image.resize((width, height), Image.Resampling.BOX)


def _without_alpha(image: Image.Image) -> Image.Image:
    return image.convert(image.mode[:-1]) if image.mode in ("LA", "RGBA") else image


def _apply_profile(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Return the image as RGB, by its ICC profile if it has one that fits, else by Pillow's formulas."""
    if image.mode in ("CMYK", "LAB"):
        _note(notes, f"{image.mode} to sRGB")
    if profile:
        try:
            source, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            _note(notes, "unusable colour profile ignored")
        else:
            if converted is not None:
                _note(notes, "colour profile applied")
                return converted
    return image if image.mode == "RGB" else image.convert("RGB")
