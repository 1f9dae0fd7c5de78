"""What an image may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one image; past any of them it is refused as `too_large`, unless said otherwise."""

    max_bytes: int = 25_000_000
    """Size of the encoded file in bytes."""

    max_pixels: int = 50_000_000
    """Pixels over all frames that are decoded."""

    max_frames: int = 60
    """Frames of an animation, or pages."""

    max_side: int = 4096
    """Longest side of the canonical image in pixels; larger images are scaled down by area."""

    max_aspect: int = 100
    """Longer side over shorter side; models refuse strips, and no product photo is one: `unreadable`."""

    cpu_seconds: int = 5
    """Processor time for one image in seconds."""

    wall_seconds: float = 15.0
    """Wall-clock time for one image in seconds; generous, since a busy machine is not the image's fault."""

    memory_bytes: int = 1 << 30
    """Address space of the process that decodes, in bytes."""
