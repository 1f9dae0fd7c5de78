"""Looks at scenes drawn over held-out photographs, with the loaded engine parts, and keeps margins beside
the truth.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ostiary_moderation.engine import AttributeValue, ListingText, QuestionScore
from ostiary_moderation.engines.qwen3_vl.processor import ImageOnlyProcessor
from ostiary_moderation.engines.qwen3_vl.questions import QuestionBook
from ostiary_moderation.engines.qwen3_vl.runner import Runner
from ostiary_moderation.training.photos import Photo
from ostiary_moderation.training.scenes import CLEAN, HELD_OUT, Recipe, Scene, make_scene
from ostiary_moderation.views import make_views


@dataclass
class Results:
    """Margins and truth by question id; probabilities on photographs with nothing drawn over them;
    attributes.
    """

    margins: dict[str, list[float]] = field(default_factory=dict)
    truth: dict[str, list[bool]] = field(default_factory=dict)
    clean: dict[str, list[float]] = field(default_factory=dict)
    attributes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # (said, true)

    def arrays(self, question: str) -> tuple[np.ndarray, np.ndarray]:
        """Margins and truth of a question, clean photographs included as negatives; each (N,)."""
        margins = [*self.margins[question], *self.clean[question]]
        truth = [*self.truth[question], *([False] * len(self.clean[question]))]
        return np.array(margins, dtype=np.float64), np.array(truth, dtype=np.bool_)


class Examiner:
    """Puts a bundle's questions to scenes."""

    def __init__(self, book: QuestionBook, processor: ImageOnlyProcessor, runner: Runner) -> None:
        self._book, self._processor, self._runner = book, processor, runner

    def examine(
        self, photos: Sequence[Photo], scenes_each: int, seed: int, report: Callable[[int], None]
    ) -> Results:
        """Each photograph once as it is, and `scenes_each` times with overlays. `report` gets how many are
        done.
        """
        results = Results()
        for done, (scene, clean) in enumerate(_scenes(photos, scenes_each, seed), start=1):
            scores, attributes = self._look(scene, with_attributes=clean)
            for score in scores:
                if clean:
                    results.clean.setdefault(score.question, []).append(score.margin)
                else:
                    results.margins.setdefault(score.question, []).append(score.margin)
                    results.truth.setdefault(score.question, []).append(scene.has(score.question))
            truth = {
                "category": scene.photo.category,
                "colour": scene.colour,
                "audience": scene.photo.audience,
            }
            for value in attributes:
                if value.name in truth:
                    results.attributes.setdefault(value.name, []).append((value.value, truth[value.name]))
            report(done)
        return results

    def _look(self, scene: Scene, with_attributes: bool) -> tuple[list[QuestionScore], list[AttributeValue]]:
        listing = ListingText()
        frame = self._book.frame(listing)
        view = make_views(np.asarray(scene.image), self._processor.view_spec).first
        prefilled = self._runner.prefill(self._processor.prefix(view, frame))
        logits = self._runner.score(prefilled, self._book.policy_branches(listing, frame), _never)
        scores = self._book.scores(logits, 0)
        if not with_attributes:
            return scores, []
        letters = self._runner.score(prefilled, self._book.attribute_branches(listing, frame), _never)
        return scores, self._book.attributes(letters)


def _scenes(photos: Sequence[Photo], scenes_each: int, seed: int) -> Iterator[tuple[Scene, bool]]:
    rng = random.Random(f"{seed}/held out")  # noqa: S311 - drawing needs no secrets
    for photo in photos:
        yield make_scene(rng, photo, CLEAN), True
        for _ in range(scenes_each):
            recipe: Recipe = HELD_OUT
            yield make_scene(rng, photo, recipe), False


def _never() -> None:
    """Nobody cancels an examination between two forward passes."""
