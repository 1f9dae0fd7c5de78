"""The rendition that people see before they ask for the picture itself. Pure."""

from io import BytesIO

from PIL import Image

# What is left of a picture: too little for letters and faces, enough to tell a shoe from a shirt. Pixels that
# are taken away do not come back, as sharpening brings back much of what a Gaussian blur hides.
_KEPT_SIDE = 20
_SIDE = 256
_QUALITY = 70


def blurred(image: Image.Image) -> bytes:
    """A small, strongly blurred JPEG file of an RGB image; it has a few kilobytes at most."""
    little = image.resize(_within(image.size, _KEPT_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    file = BytesIO()
    little.resize(_within(image.size, _SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size scaled so that its longest side is `side`; none less than 1."""
    width, height = (max(1, round(length * side / max(size))) for length in size)
    return width, height
