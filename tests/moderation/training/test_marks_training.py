"""What figurative marks are learnt from, and what is written of what was learnt."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from ostiary_moderation.figurative.marks import Mark
from ostiary_moderation.figurative.matching import FEATURES, Match, Score
from ostiary_moderation.figurative.networks import Networks
from ostiary_moderation.figurative.view import FILLED, SIDE, Box, with_contrast
from ostiary_moderation.training.marks import fitting, inks, places
from ostiary_moderation.training.marks.closeups import close_up
from ostiary_moderation.training.marks.export import write_network
from ostiary_moderation.training.marks.icons import PARTS, Icons, alike, filled
from ostiary_moderation.training.marks.learning import Learning
from ostiary_moderation.training.marks.scenes import WINDOW, Draw, scene
from ostiary_moderation.training.marks.shapes import find_directions
from ostiary_moderation.training.marks.trials import SMALLEST, trial


def drawn(number: int, grown: int = 0) -> np.ndarray:
    """A polygon of five corners, other than those of other numbers; `grown` a little differs little."""
    rng = np.random.default_rng(number)
    image = Image.new("L", (160, 160))
    corners = [(int(x) + grown, int(y)) for x, y in rng.integers(10, 150, (5, 2))]
    ImageDraw.Draw(image).polygon(corners, fill=255)
    square = filled(image, 128)
    assert square is not None
    return np.asarray(square)


def some_icons(count: int = 12) -> Icons:
    return Icons(
        names=np.array([f"brand:{number}" for number in range(count)]),
        inks=np.stack([drawn(number) for number in range(count)]),
        colours=np.random.default_rng(0).integers(0, 255, (count, 3)).astype(np.uint8),
        groups=np.arange(count),
        brands=np.arange(count) % 3 != 2,
        parts=np.arange(count) % len(PARTS) if count > 30 else np.zeros(count, np.int64),
    )


def some_grounds() -> np.ndarray:
    noise = np.random.default_rng(1).normal(150, 20, (3, 448, 336, 3))
    return noise.clip(0, 255).astype(np.uint8)


def test_lookalikes_are_one_group() -> None:
    """A shape drawn a little differently is in the group of the first; others are not."""
    groups = alike(np.stack([drawn(1), drawn(2), drawn(1, grown=3), drawn(3)]))
    assert groups[0] == groups[2]
    assert len(set(groups.tolist())) == 3


def test_held_out_parts_have_one_brand_of_each_group() -> None:
    """What is measured on are brands, and none of them twice."""
    icons = some_icons(36)
    test = icons.of("test")
    assert not set(test.tolist()) & set(icons.of("train").tolist())
    assert icons.brands[test].all()
    assert len(set(icons.groups[test].tolist())) == len(test)


@pytest.mark.parametrize("number", range(4))
def test_scenes_are_the_same_each_time_and_boxes_lie_within(number: int) -> None:
    """By their number alone."""
    draw, grounds = Draw(some_icons()), some_grounds()
    first, again = (scene(np.random.default_rng(number), draw, grounds) for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.pixels.shape == (WINDOW, WINDOW, 3)
    assert (first.boxes >= 0).all()
    assert (first.boxes <= WINDOW).all()
    assert (first.boxes[:, 2:] > first.boxes[:, :2]).all()


def test_close_ups_show_a_mark_where_the_ink_is() -> None:
    """About as large as the detector would cut it out; some are empty."""
    draw, grounds = Draw(some_icons()), some_grounds()
    views = [close_up(np.random.default_rng(number), draw, grounds) for number in range(40)]
    empty = [view for view in views if view.icon < 0]
    assert 1 <= len(empty) <= 12
    assert all(not view.ink.any() for view in empty)
    sides = [np.ptp(np.argwhere(view.ink > 0.5), axis=0).max() for view in views if view.icon >= 0]
    assert np.median(sides) == pytest.approx(SIDE * FILLED, rel=0.2)


def test_trials_have_a_mark_of_the_least_size(tmp_path: Path) -> None:
    """Wholly on the photograph, at its box."""
    path = tmp_path / "photo.png"
    Image.fromarray(some_grounds()[0]).save(path)
    for number in range(6):
        made = trial(np.random.default_rng(number), some_icons(), 3, path)
        assert made.box is not None
        assert made.box.longer >= SMALLEST
        assert 0 <= made.box.left < made.box.right <= 336
    assert trial(np.random.default_rng(0), some_icons(), -1, path).box is None


def test_directions_tell_shapes_apart() -> None:
    """Of shapes that they were not found with: one distorted lies nearest to itself."""
    from ostiary_moderation.training.marks.shapes import Distortion

    directions = find_directions(np.stack([drawn(number) for number in range(60)]), seed=0)
    others = Distortion(np.stack([drawn(number) for number in range(100, 120)]))
    numbers = np.arange(20)
    plain = directions(others.plain(numbers).numpy())
    seen = directions(others.seen(np.random.default_rng(0), numbers).numpy())
    assert float((np.argmax(seen @ plain.T, axis=1) == numbers).mean()) >= 0.6


def test_learning_goes_on_where_it_was(tmp_path: Path) -> None:
    """Steps, examples and weights are those of before, and no time is spent twice."""
    torch.manual_seed(0)

    def step(rng: np.random.Generator) -> tuple[torch.Tensor, int]:
        return (network.weight * float(rng.random())).sum(), 3

    network = torch.nn.Linear(2, 2)
    first = Learning("x", network, tmp_path / "x.pt", 0.05, 0)
    first.run(step, lambda words: None)
    weight = network.weight.detach().clone()
    network = torch.nn.Linear(2, 2)
    again = Learning("x", network, tmp_path / "x.pt", 0.05, 0)
    again.run(step, lambda words: None)
    assert again.progress == first.progress
    assert first.progress.examples == 3 * first.progress.step > 0
    assert torch.equal(network.weight, weight)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_written_computes_the_same(tmp_path: Path) -> None:
    """Both networks, loaded as the detector loads them, within what halving the weights costs."""
    torch.manual_seed(0)
    where, which = places.Places().eval(), inks.Inks().eval()
    write_network(tmp_path / "places.onnx", where, torch.zeros(1, 3, 64, 64), {2: "height", 3: "width"})
    write_network(tmp_path / "inks.onnx", which, torch.zeros(2, 4, SIDE, SIDE), {0: "views"})
    np.savez(tmp_path / "shapes.npz", mean=np.zeros(4), matrix=np.zeros((4, 2)), ground=np.zeros((1, 2)))
    (tmp_path / "scoring.json").write_text('{"version": "0"}', "utf-8")
    networks = Networks(tmp_path, threads=1)
    pixels = np.random.default_rng(0).integers(0, 255, (96, 64, 3)).astype(np.uint8)
    views = np.random.default_rng(1).integers(0, 255, (3, SIDE, SIDE, 3)).astype(np.uint8)
    with torch.no_grad():
        expected = where(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1)[0].numpy()
        ink = torch.sigmoid(which(torch.from_numpy(with_contrast(views)))).numpy()
    assert networks.places(pixels) == pytest.approx(expected, abs=0.03)
    assert networks.inks(views) == pytest.approx(ink, abs=0.03)


def test_a_loss_falls_with_better_answers() -> None:
    """Places and inks: what is right costs less than what is not."""
    made = scene(np.random.default_rng(3), Draw(some_icons()), some_grounds())
    cells = WINDOW // places.STRIDE
    silent = torch.full((1, 5, cells, cells), -6.0)
    right = silent.clone()
    for left, top, after, below in (made.boxes / places.STRIDE).tolist():
        x, y = int((left + after) / 2), int((top + below) / 2)
        right[0, 0, y, x] = 6.0
    assert places.loss(right, [made]) < places.loss(silent, [made])
    ink = torch.zeros(1, SIDE, SIDE)
    ink[:, 10:30, 10:30] = 1
    assert inks.loss(ink * 8 - 4, ink) < inks.loss(torch.zeros_like(ink), ink) < inks.loss(4 - ink * 8, ink)


def test_the_score_grows_with_what_tells_right_from_wrong() -> None:
    """Fitted on matches of which the near ones are right."""
    rng = np.random.default_rng(0)
    mark = Mark("b", "r", np.zeros((SIDE, SIDE), np.float32))
    pairs = []
    for _ in range(300):
        right = bool(rng.random() < 0.3)
        features = [float(rng.normal(0.8 if right else 0.4, 0.1)), *rng.normal(0, 1, len(FEATURES) - 1)]
        pairs.append((Match(mark, Box(0, 0, 9, 9), tuple(map(float, features))), right))
    fitted = fitting.fit([fitting.Judged(trial_without(), -1, tuple(pairs))])
    score = Score(*(np.array(fitted[name]) for name in ("mean", "scale", "weights")), fitted["bias"])
    rest = [0.0] * (len(FEATURES) - 1)
    assert score([0.85, *rest]) > 0.9
    assert score([0.35, *rest]) < 0.1


def trial_without() -> fitting.Trial:
    return fitting.Trial(np.zeros((0, 0, 3), np.uint8))


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(
            [(0.9, True), (0.8, True), (0.7, False), (0.6, True)], 0.8, id="until the first wrong one"
        ),
        pytest.param([(0.9, False), (0.8, True)], 1.0, id="the surest is wrong"),
        pytest.param([], 1.0, id="nothing"),
    ],
)
def test_the_threshold_is_the_lowest_that_is_precise(told: list[tuple[float, bool]], expected: float) -> None:
    """From it on the share that is asked for is right."""
    assert fitting.threshold(told, 0.9) == expected
