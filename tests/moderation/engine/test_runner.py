"""One forward pass answers every question as separate, whole forward passes of the stock class would, and
descriptions are what the stock `generate` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from moderation.engine.checkpoints import (
    LIKE_8B,
    ONE_KEY_HEAD,
    Parts,
    changed,
    describe,
    shares,
    write_bundle,
)
from ostiary_moderation.bundle import Bundle
from ostiary_moderation.engines.qwen3_vl.graphs import StepGraphs
from ostiary_moderation.engines.qwen3_vl.questions import Wants
from ostiary_moderation.views import ImageViews

Views = list[ImageViews]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, parts: Parts) -> Callable[[str], Parts]:
    """The checkpoints by name, each made once."""
    kept = {"mini": parts}

    def make(name: str) -> Parts:
        if name not in kept:
            if name == "bfloat16":
                kept[name] = Parts(changed(parts.bundle, dtype="bfloat16"))
            else:
                shape = {"like 8B": LIKE_8B, "one key head": ONE_KEY_HEAD}[name]
                kept[name] = Parts(Bundle.load(write_bundle(tmp_path_factory.mktemp("shape"), **shape)))
        return kept[name]

    return make


@pytest.mark.parametrize(
    ("name", "tolerance"), [("mini", 1e-4), ("like 8B", 1e-4), ("one key head", 1e-4), ("bfloat16", 2e-2)]
)
@pytest.mark.parametrize("index", range(4))
def test_branches_equal_separate_forward_passes(
    made: Callable[[str], Parts], views: Views, name: str, tolerance: float, index: int
) -> None:
    """P(yes) and the letters' shares agree, for every question on every grid and shape of model."""
    parts, view = made(name), views[index].first
    pack = parts.pack()
    [together] = parts.runner.prefill([view], pack, [None]).logits
    for branch, logits in zip(pack.questions, together, strict=True):
        expected = parts.alone(view, pack, branch)
        assert np.abs(expected).max() > 0.05  # the comparison is between numbers, not between zeros
        np.testing.assert_allclose(shares(logits), shares(expected), atol=tolerance)


@pytest.mark.parametrize("name", ["mini", "like 8B", "one key head"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_greedy_descriptions_equal_generate(
    made: Callable[[str], Parts], views: Views, name: str, language: str
) -> None:
    """Behind policy questions that were dropped, decoding writes what the stock class writes, token for
    token.
    """
    parts = made(name)
    pack = parts.pack(Wants(flags=True, attributes=True, description=language))
    for view in [each.first for each in views[:3]]:
        [written] = describe(parts.runner, [view], pack, 12)
        expected = parts.generated(view, pack, 12)
        assert written[: len(expected)] == expected
        assert expected


def test_descriptions_do_not_depend_on_the_batch(parts: Parts, views: Views) -> None:
    """Nine pictures described side by side, in another order, after moves, and alone: the same words."""
    rng = np.random.default_rng(8)
    pictures = [rng.integers(0, 256, views[0].first.shape, dtype=np.uint8) for _ in range(9)]
    pack = parts.pack()
    together = describe(parts.runner, pictures, pack, 10)
    assert describe(parts.runner, pictures[::-1], pack, 10)[::-1] == together
    assert [describe(parts.runner, [picture], pack, 10)[0] for picture in pictures] == together
    assert len({tuple(words) for words in together}) > 1


def test_a_moved_row_goes_on_as_it_was(parts: Parts, views: Views) -> None:
    """Closing a gap copies all that a description needs."""
    view, pack = views[0].first, parts.pack()
    [expected] = describe(parts.runner, [view], pack, 8)
    runner, prompt = parts.runner, pack.prompt(view.shape[0] // 32 * (view.shape[1] // 32))
    written = list(runner.prefill([view], pack, [3]).first)
    written += runner.decode(3, 1, prompt) + runner.decode(3, 1, prompt + 1)
    runner.move(3, 1)
    describe(parts.runner, [views[1].first], pack, 4)  # somebody else in row 0
    for step in range(2, 7):
        written += runner.decode(1, 1, prompt + step)
    assert written == expected


def test_rows_of_different_grids_decode_side_by_side(parts: Parts, views: Views) -> None:
    """Rows of different lengths and positions in one step, as each alone."""
    pack = parts.pack()
    alone = [describe(parts.runner, [view.first], pack, 8)[0] for view in views]
    written = [list(parts.runner.prefill([view.first], pack, [row]).first) for row, view in enumerate(views)]
    longest = max(pack.prompt(view.first.shape[0] // 32 * (view.first.shape[1] // 32)) for view in views)
    for step in range(7):
        for row, token in zip(written, parts.runner.decode(0, 4, longest + step), strict=True):
            row.append(token)
    assert written == alone


def test_some_images_of_a_batch_are_described(parts: Parts, views: Views) -> None:
    """Rows need not be in order, and images without one are answered all the same."""
    rng = np.random.default_rng(9)
    pictures = [rng.integers(0, 256, views[2].first.shape, dtype=np.uint8) for _ in range(4)]
    pack = parts.pack()
    expected = [describe(parts.runner, [picture], pack, 1)[0][0] for picture in pictures]
    answers = parts.runner.prefill(pictures, pack, [5, None, 2, None])
    assert answers.first == [expected[0], -1, expected[2], -1]
    whole = parts.runner.prefill(pictures, pack, [None] * 4).logits
    for one, other in zip(answers.logits, whole, strict=True):
        np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))


def test_the_models_own_position_state_is_not_used(parts: Parts, views: Views) -> None:
    """Poisoning `rope_deltas` changes nothing, and nothing is left there."""
    pack, pictures = parts.pack(), [views[0].first]
    expected = describe(parts.runner, pictures, pack, 6)
    poison = torch.tensor([[977]])
    parts.model.model.rope_deltas = poison
    assert describe(parts.runner, pictures, pack, 6) == expected
    assert parts.model.model.rope_deltas is poison
    parts.model.model.rope_deltas = None


def test_a_step_stays_in_its_buffers(parts: Parts, views: Views) -> None:
    """What a captured step reads and writes must not move between replays."""
    cache, pack = parts.runner._cache, parts.pack()
    buffers = [
        *cache.keys,
        *cache.values,
        cache.tokens,
        cache.positions,
        cache.lengths,
        cache.mask,
        cache.dice,
    ]
    before = [buffer.data_ptr() for buffer in buffers]
    describe(parts.runner, [views[0].first], pack, 4)
    after = [*cache.keys, *cache.values, cache.tokens, cache.positions, cache.lengths, cache.mask, cache.dice]
    assert [buffer.data_ptr() for buffer in after] == before
    with torch.inference_mode():  # a row that nobody reads, replayed on and on beside another
        for _ in range(2 * cache.max_length):
            cache.advance(7, 1)
    assert int(cache.lengths[7]) < cache.max_length


def test_memory_that_runs_out_is_told_from_other_failures(parts: Parts) -> None:
    """On a CPU torch raises a plain RuntimeError for it."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert parts.runner.ran_out_of_memory(caught.value)
    assert parts.runner.ran_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert not parts.runner.ran_out_of_memory(RuntimeError("a kernel failed"))


@pytest.mark.parametrize(
    ("count", "longest", "captured"),
    [(1, 100, (1, 256)), (3, 256, (4, 256)), (5, 257, (6, 512)), (6, 700, (6, 600))],
)
def test_a_few_graphs_serve_every_step(count: int, longest: int, captured: tuple[int, int]) -> None:
    """Row counts are rounded up to powers of two and lengths to coarse multiples, within the buffers."""
    graphs = StepGraphs(lambda *_: None, torch.device("cpu"), rows=6, max_length=600)
    assert graphs._rounded(count, longest) == captured


def test_constants_are_kept_within_a_bound(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The masks of a crowd of grids and packs are dropped, the oldest first, and worked out again."""
    plans, pack = parts.runner._plans, parts.pack()
    monkeypatch.setattr(plans, "_kept", {})
    first = plans.of(3, 3, pack)
    assert plans.of(3, 3, pack) is first
    monkeypatch.setattr(plans, "_room", 5 * first.bytes)
    kept = [plans.of(3, columns, pack) for columns in range(4, 9)]
    assert plans.of(3, 8, pack) is kept[-1]
    again = plans.of(3, 3, pack)
    assert again is not first
    torch.testing.assert_close(again.mask, first.mask)
    assert sum(plan.bytes for plan in plans._kept.values()) <= 5 * first.bytes


def test_drawn_tokens_follow_the_dice(parts: Parts, views: Views) -> None:
    """At a temperature, low numbers draw from the front of the vocabulary and high ones from its end."""
    hot = Parts(changed(parts.bundle, description={"temperature": 1.5}))
    pack, view = hot.pack(), views[0].first

    def draw(number: float) -> int:
        dice = np.full(32, number, np.float32)
        return hot.runner.prefill([view], pack, [0], [dice]).first[0]

    last = hot.stock.config.text_config.vocab_size - 1
    top = np.nextafter(np.float32(1), np.float32(0))
    assert draw(0.0) < draw(0.3) < draw(0.7) < draw(float(top)) <= last


def test_weights_are_held_once(parts: Parts) -> None:
    """Fused products read views of the model's own parameters, and leave their values alone."""
    stock, ours = parts.stock.state_dict(), parts.model.state_dict()
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        key = f"model.language_model.layers.1.self_attn.{name}.weight"
        torch.testing.assert_close(ours[key], stock[key], atol=0, rtol=0)
    layer = parts.model.model.language_model.layers[1].self_attn
    storages = {module.weight.untyped_storage().data_ptr() for module in (layer.q_proj, layer.k_proj)}
    assert len(storages) == 1


def test_a_first_token_that_is_no_number_is_told(tiny_folder: Path, views: Views) -> None:
    """NaN must not become a word."""
    broken = Parts(Bundle.load(tiny_folder))
    with torch.no_grad():
        broken.model.model.language_model.norm.weight.fill_(float("nan"))
    assert broken.runner.prefill([views[0].first], broken.pack(), [0]).first == [-1]
