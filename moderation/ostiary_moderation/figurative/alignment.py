"""How well a shape covers what was seen, once it is turned and pulled so that it fits best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.figurative.view import SIDE, Floats

_ANGLES = np.deg2rad((-18.0, -9.0, 0.0, 9.0, 18.0))
_STEPS = 5
_DAMPING = 1e-3
_COARSE, _FINE = 4, 2
_FURTHEST = 0.45
Matrices = NDArray[np.float64]


def first_guess(shapes: Floats, seen: Floats) -> tuple[Floats, Matrices]:
    """For each pair of a shape and what was seen, N × SIDE × SIDE each, the correlation under that turn of a
    few that fits best, and that turn: N, and N × 2 × 3. Quick: for choosing whom to compare closely.
    """
    shapes, seen = softened(shapes), softened(seen)
    at = _grid()[_COARSE // 2 :: _COARSE]
    target = seen[:, _COARSE // 2 :: _COARSE, _COARSE // 2 :: _COARSE]
    turns = [np.array([(np.cos(a), -np.sin(a), 0.0), (np.sin(a), np.cos(a), 0.0)]) for a in _ANGLES]
    values = np.stack(
        [
            _correlation(_sampled(shapes, np.broadcast_to(turn, (len(shapes), 2, 3)), at), target)
            for turn in turns
        ]
    )
    return values.max(axis=0), np.array(turns)[values.argmax(axis=0)]


def agreement(shapes: Floats, seen: Floats, maps: Matrices) -> Floats:
    """For each pair the correlation when they are laid over one another as well as an affine map can, found
    from the given ones on: N, -1 to 1.
    """
    shapes, seen = softened(shapes), softened(seen)
    at = _grid()
    near = at[_FINE // 2 :: _FINE]
    target = seen[:, _FINE // 2 :: _FINE, _FINE // 2 :: _FINE]
    slopes = _slopes(shapes)
    best = _correlation(_sampled(shapes, maps, near), target)
    for _ in range(_STEPS):
        moved = maps + _step(shapes, slopes, maps, near, target)
        value = _correlation(_sampled(shapes, moved, near), target)
        better = (value > best) & _sane(moved)
        if not better.any():
            break
        maps = np.where(better[:, None, None], moved, maps)
        best = np.where(better, value, best)
    return _correlation(_sampled(shapes, maps, at), seen).astype(np.float32)


def _step(
    shapes: Floats, slopes: tuple[Floats, Floats], maps: Matrices, at: NDArray[np.float64], target: Floats
) -> Matrices:
    """A Gauss-Newton step of the map, with gain and level free."""
    shown = _sampled(shapes, maps, at).reshape(len(shapes), -1)
    across, down = (_sampled(slope, maps, at).reshape(len(shapes), -1) for slope in slopes)
    y, x = (grid.ravel() for grid in np.meshgrid(at, at, indexing="ij"))
    ones = np.ones_like(shown)
    columns = np.stack([across * x, across * y, across, down * x, down * y, down, shown, ones], axis=2)
    goal = target.reshape(len(shapes), -1)
    normal = columns.transpose(0, 2, 1) @ columns
    normal += np.eye(8) * (_DAMPING * np.trace(normal, axis1=1, axis2=2)[:, None, None] / 8 + 1e-6)
    right = columns.transpose(0, 2, 1) @ goal[..., None]
    solved = np.linalg.solve(normal, right)[..., 0]
    gain = solved[:, 6]
    gain = np.where(np.abs(gain) < 0.2, 0.2, gain)
    step: Matrices = (solved[:, :6] / gain[:, None]).reshape(-1, 2, 3)
    return step


def _sane(maps: Matrices) -> NDArray[np.bool_]:
    """Whether the map stays near the identity: no turn over, no collapse, little shift."""
    size = np.linalg.svd(maps[:, :, :2], compute_uv=False)
    turn = np.arctan2(maps[:, 1, 0] - maps[:, 0, 1], maps[:, 0, 0] + maps[:, 1, 1])
    upright = (np.linalg.det(maps[:, :, :2]) > 0) & (np.abs(turn) < np.deg2rad(32))
    shifted = np.abs(maps[:, :, 2]).max(axis=1) < _FURTHEST
    sane: NDArray[np.bool_] = upright & shifted & (size[:, 1] > 0.6) & (size[:, 0] < 1.7)
    return sane


def _sampled(images: Floats, maps: Matrices, at: NDArray[np.float64]) -> Floats:
    """Images at the mapped points of a grid, both from -1 to 1; nothing beyond their edges."""
    y, x = np.meshgrid(at, at, indexing="ij")
    points = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    moved = (maps @ points + 1) * (SIDE / 2) - 0.5 + 1
    moved = np.clip(moved, 0, SIDE + 0.999)
    framed = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    low = moved.astype(np.int64)
    share = (moved - low).astype(np.float32)
    flat = framed.reshape(len(images), -1)
    wide = SIDE + 2
    corner = low[:, 1] * wide + low[:, 0]
    u, v = share[:, 0], share[:, 1]

    def at_corner(offset: int) -> Floats:
        return np.take_along_axis(flat, np.minimum(corner + offset, flat.shape[1] - 1), axis=1)

    upper = at_corner(0) * (1 - u) + at_corner(1) * u
    lower = at_corner(wide) * (1 - u) + at_corner(wide + 1) * u
    blended = (upper * (1 - v) + lower * v).reshape(len(images), len(at), len(at))
    return blended.astype(np.float32, copy=False)


def _correlation(one: Floats, other: Floats) -> Floats:
    a = one.reshape(len(one), -1)
    b = other.reshape(len(other), -1)
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1)) + 1e-6
    correlation: Floats = (a * b).sum(axis=1) / scale
    return correlation


def _grid() -> NDArray[np.float64]:
    return (np.arange(SIDE, dtype=np.float64) + 0.5) / SIDE * 2 - 1


def _slopes(images: Floats) -> tuple[Floats, Floats]:
    """Across and down, per unit of a grid from -1 to 1."""
    return np.gradient(images, axis=2) * (SIDE / 2), np.gradient(images, axis=1) * (SIDE / 2)


def softened(images: Floats) -> Floats:
    """Each pixel with its neighbours, so that the slopes say something a pixel or two away."""
    framed = np.pad(images.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = framed[:, :, :-2] + 2 * framed[:, :, 1:-1] + framed[:, :, 2:]
    soft: Floats = (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 16
    return soft
