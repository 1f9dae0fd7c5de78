"""The images of the demo: photographs and drawings small enough to ship, and what is expected of each.

`proto/demo_images.py` in the repository draws them and names their sources and licences.
"""

from dataclasses import dataclass
from importlib.resources import files

import yaml


@dataclass(frozen=True)
class DemoImage:
    """One image of the demo with its listing.

    `expected` holds the verdicts that a sound stack may give it, as people see them (`ALLOW`, …); `why` says
    in a few words what the image shows.
    """

    file: str
    why: str
    title: str
    category: str
    expected: tuple[str, ...]

    def read(self) -> bytes:
        """The encoded file."""
        return (files(__package__) / "images" / self.file).read_bytes()


def demo_images() -> tuple[DemoImage, ...]:
    """All images, in the order in which they are shown."""
    manifest = yaml.safe_load((files(__package__) / "images.yaml").read_text(encoding="utf-8"))
    return tuple(DemoImage(**{**entry, "expected": tuple(entry["expected"])}) for entry in manifest)
