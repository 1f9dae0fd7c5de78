"""Which frames of an animation are judged."""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageFile, ImageOps, ImageStat

from ostiary_moderation.decode.colour import to_srgb
from ostiary_moderation.decode.limits import Limits
from ostiary_moderation.decode.result import Fault, FaultCode

# Formats whose header says how many frames follow. The others are read until they end.
_DECLARING = ("PNG", "WEBP")
# Phones put previews and depth maps behind the picture; the canonical file drops them.
_SINGLE = ("JPEG", "MPO", "BMP")
_THUMBNAIL = (64, 64)


class ImageFaultError(Exception):
    """The image breaks a limit or the rules of its format; carries the fault to report."""

    def __init__(self, code: FaultCode, detail: str) -> None:
        super().__init__(detail)
        self.fault = Fault(code, detail)


@dataclass(slots=True)
class _Chosen:
    """The frames kept while walking: first, last, shown longest and most unlike the first."""

    first: Image.Image
    thumbnail: Image.Image | None
    last: tuple[int, Image.Image]
    longest: tuple[float, int, Image.Image]
    different: tuple[float, int, Image.Image]


def judged_frames(image: ImageFile.ImageFile, limits: Limits, notes: list[str]) -> dict[int, Image.Image]:
    """Return the frames to judge by index, the first one first, each as RGB of the first one's size.

    An animation gives up to four: the first, the last, the longest shown and the most different from the
    first; frames equal to one already kept are left out. Raises ImageFaultError past the limits or where
    frames are missing.
    """
    chosen: _Chosen | None = None
    count = 0
    for index in _walk(image, limits):
        count += 1
        frame = to_srgb(image, limits.max_side, notes)
        if frame is image and image.format not in _SINGLE:
            frame = image.copy()  # the next frame will be drawn over it
        chosen = _consider(chosen, index, frame, float(image.info.get("duration") or 0))
    if chosen is None:
        raise ImageFaultError(FaultCode.UNREADABLE, "the file holds no frame")
    if count == 1:
        return {0: chosen.first}
    frames = _distinct(chosen)
    judged = ", ".join(str(index) for index in frames)
    notes.append(f"{count} frames: first one kept, judged {judged}")
    return frames


def _walk(image: ImageFile.ImageFile, limits: Limits) -> Iterator[int]:
    """Load frame after frame, yielding the index of each; a frame is loaded only once the limits allow it."""
    declared = getattr(image, "n_frames", 1) if image.format in _DECLARING else None
    if declared is not None and declared > limits.max_frames:
        raise ImageFaultError(
            FaultCode.TOO_LARGE, f"{declared} frames; at most {limits.max_frames} are looked at"
        )
    pixels = index = 0
    while _seek(image, index):
        if index >= limits.max_frames:
            raise ImageFaultError(FaultCode.TOO_LARGE, f"more than {limits.max_frames} frames")
        pixels += image.width * image.height
        if pixels > limits.max_pixels:
            over = f" over {index + 1} frames" if index else ""
            detail = f"more than {limits.max_pixels / 1e6:g} megapixels{over}"
            raise ImageFaultError(FaultCode.TOO_LARGE, detail)
        image.load()
        yield index
        index += 1
    if declared is not None and index < declared:
        raise ImageFaultError(FaultCode.UNREADABLE, f"{declared} frames announced, {index} found")


def _seek(image: ImageFile.ImageFile, index: int) -> bool:
    if index == 0:
        return True
    if image.format in _SINGLE:
        return False
    try:
        image.seek(index)
    except EOFError:
        return False
    return True


def _consider(chosen: _Chosen | None, index: int, frame: Image.Image, duration: float) -> _Chosen:
    if chosen is None:
        return _Chosen(frame, None, (index, frame), (duration, index, frame), (0.0, index, frame))
    if frame.size != chosen.first.size:
        frame = ImageOps.pad(frame, chosen.first.size, color="white")
    chosen.last = (index, frame)
    if duration > chosen.longest[0]:
        chosen.longest = (duration, index, frame)
    chosen.thumbnail = chosen.thumbnail or _thumbnail(chosen.first)
    difference = sum(ImageStat.Stat(ImageChops.difference(_thumbnail(frame), chosen.thumbnail)).mean)
    if difference > chosen.different[0]:
        chosen.different = (difference, index, frame)
    return chosen


def _thumbnail(frame: Image.Image) -> Image.Image:
    return frame.resize(_THUMBNAIL, Image.Resampling.BOX)


def _distinct(chosen: _Chosen) -> dict[int, Image.Image]:
    frames = {0: chosen.first}
    others = dict([chosen.last, chosen.longest[1:], chosen.different[1:]])
    for index, frame in sorted(others.items()):
        if all(ImageChops.difference(frame, kept).getbbox() for kept in frames.values()):
            frames[index] = frame
    return frames
