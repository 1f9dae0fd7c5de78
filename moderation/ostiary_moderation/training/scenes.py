"""Training examples: a photograph, what is drawn over it, and the answers that are true of the result."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from ostiary_moderation.training import drawing, wording
from ostiary_moderation.training.photos import Photo

Grid = tuple[int, int]  # rows and columns of visual tokens
KINDS = ("qr_code", "contact_details", "text", "lookalike")


@dataclass(frozen=True)
class Recipe:
    """How often each kind of overlay is drawn, and whether the photograph itself is varied."""

    qr_code: float = 0.35
    contact_details: float = 0.4
    note: float = 0.25
    garment: float = 0.25
    lookalike: float = 0.2
    vary: bool = True


CLEAN = Recipe(0, 0, 0, 0, 0, vary=False)
HELD_OUT = Recipe(vary=False)


@dataclass
class Scene:
    """A picture and the truth about it. `clean`: the same without what was drawn over it. `coverage`: per
    kind, H × W bool, where it was drawn.
    """

    image: Image.Image
    clean: Image.Image
    photo: Photo
    coverage: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def has(self, kind: str) -> bool:
        """Whether anything of the kind was drawn."""
        return kind in self.coverage

    def cover(self, rows: int, columns: int, least: float = 0.15) -> NDArray[np.bool_]:
        """(rows * columns, KINDS): whether at least `least` of a cell is covered, in reading order."""
        labels = np.zeros((rows * columns, len(KINDS)), dtype=np.bool_)
        for index, kind in enumerate(KINDS):
            if kind in self.coverage:
                mask = Image.fromarray(self.coverage[kind].astype(np.uint8) * 255)
                cells = np.asarray(mask.resize((columns, rows), Image.Resampling.BOX))
                labels[:, index] = cells.reshape(-1) >= least * 255
        return labels


def make_scene(
    rng: random.Random,
    photo: Photo,
    recipe: Recipe,
    aspect: float | None = None,
    image: Image.Image | None = None,
) -> Scene:
    """Draws one scene. `aspect`: width / height to crop to; None keeps the photograph's own. `image`: the
    photograph; None reads it.
    """
    if image is None:
        with Image.open(photo.path) as opened:
            image = opened.convert("RGB")
    if recipe.vary:
        image = _vary(rng, image)
    if aspect is not None:
        image = _crop(rng, image, aspect)
    scene = Scene(image.copy(), image, photo)
    _draw_all(rng, scene, recipe)
    if recipe.vary and rng.random() < 0.3:
        scene.image = ImageEnhance.Brightness(scene.image).enhance(rng.uniform(0.8, 1.2))
    return scene


def _draw_all(rng: random.Random, scene: Scene, recipe: Recipe) -> None:
    height = scene.image.height
    if rng.random() < recipe.garment:
        _paste(
            rng,
            scene,
            "text",
            drawing.garment_print(rng, int(height * rng.uniform(0.02, 0.08))),
            central=True,
        )
    if rng.random() < recipe.lookalike:
        _paste(rng, scene, "lookalike", _sized(rng, scene, drawing.lookalike(rng)))
    if rng.random() < recipe.note:
        lines = wording.note_lines(rng)
        _paste(rng, scene, "text", drawing.banner(rng, lines, int(height * rng.uniform(0.03, 0.09))), angle=4)
    if rng.random() < recipe.contact_details:
        for _ in range(rng.choice([1, 1, 1, 2])):
            lines = wording.contact_lines(rng)
            plate = drawing.banner(rng, lines, int(height * rng.uniform(0.035, 0.09)))
            _paste(rng, scene, "contact_details", plate, angle=rng.choice([2, 2, 35]))
    if rng.random() < recipe.qr_code:
        _paste(rng, scene, "qr_code", _sized(rng, scene, drawing.qr_code(rng)))


def _sized(rng: random.Random, scene: Scene, overlay: Image.Image) -> Image.Image:
    side = min(scene.image.size) * min(0.7, rng.lognormvariate(-1.35, 0.4))
    scale = max(36.0, side) / overlay.width
    return overlay.resize((max(1, int(overlay.width * scale)), max(1, int(overlay.height * scale))))


def _paste(
    rng: random.Random, scene: Scene, kind: str, overlay: Image.Image, angle: int = 20, central: bool = False
) -> None:
    """Pastes an overlay wholly inside the picture, tilted a little, and notes where."""
    if kind in ("qr_code", "lookalike") and rng.random() < 0.35:
        overlay = _perspective(rng, overlay)
    if rng.random() < 0.6:
        overlay = overlay.rotate(rng.gauss(0, angle / 2), expand=True, resample=Image.Resampling.BICUBIC)
    limit = min(0.96 * scene.image.width / overlay.width, 0.9 * scene.image.height / overlay.height, 1.0)
    if limit < 1.0:
        overlay = overlay.resize((max(1, int(overlay.width * limit)), max(1, int(overlay.height * limit))))
    room = (scene.image.width - overlay.width, scene.image.height - overlay.height)
    spot = [int(room[i] * (rng.uniform(0.35, 0.65) if central else rng.random())) for i in range(2)]
    scene.image.paste(overlay, (spot[0], spot[1]), overlay)
    mask = scene.coverage.setdefault(kind, np.zeros((scene.image.height, scene.image.width), np.bool_))
    mask[spot[1] : spot[1] + overlay.height, spot[0] : spot[0] + overlay.width] |= (
        np.asarray(overlay.getchannel("A").reduce(1)) > 40
    )


def _perspective(rng: random.Random, overlay: Image.Image) -> Image.Image:
    """Seen from the side: each corner pulled inwards by up to an eighth."""
    width, height = overlay.size
    far = [(rng.uniform(0, 0.12) * width, rng.uniform(0, 0.12) * height) for _ in range(4)]
    corners = [
        far[0],
        (width - far[1][0], far[1][1]),
        (width - far[2][0], height - far[2][1]),
        (far[3][0], height - far[3][1]),
    ]
    source = [(0, 0), (width, 0), (width, height), (0, height)]
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(corners, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    known = np.array([value for point in source for value in point], dtype=np.float64)
    data = np.linalg.solve(np.array(rows, dtype=np.float64), known)
    return overlay.transform(
        overlay.size, Image.Transform.PERSPECTIVE, data.tolist(), Image.Resampling.BICUBIC
    )


def _vary(rng: random.Random, image: Image.Image) -> Image.Image:
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.3:
        image = image.rotate(rng.uniform(-12, 12), resample=Image.Resampling.BICUBIC)
    scale = rng.uniform(0.75, 1.0)
    width, height = int(image.width * scale), int(image.height * scale)
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    image = image.crop((left, top, left + width, top + height))
    return ImageEnhance.Contrast(image).enhance(rng.uniform(0.8, 1.2))


def _crop(rng: random.Random, image: Image.Image, aspect: float) -> Image.Image:
    width = min(image.width, int(image.height * aspect))
    height = min(image.height, int(image.width / aspect))
    left, top = rng.randint(0, image.width - width), rng.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))
