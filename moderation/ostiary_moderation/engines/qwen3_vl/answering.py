"""What a look's answers lead to: a closer look, a description or none, and at last a Look. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.bundle import Manifest
from ostiary_moderation.engine import Look, QuestionScore
from ostiary_moderation.engines.qwen3_vl import request as work
from ostiary_moderation.engines.qwen3_vl.questions import QuestionBook, Wants


class Answering:
    """Follows the manifest's rules. `stop`: tokens that end a description. `write`: text of tokens. `cell`:
    side of a visual token in pixels.
    """

    def __init__(
        self,
        manifest: Manifest,
        book: QuestionBook,
        cell: int,
        stop: frozenset[int],
        write: Callable[[Sequence[int]], str],
    ) -> None:
        self._book, self._cell, self._stop, self._write = book, cell, stop, write
        self._closer, self._description = manifest.pixels.closer, manifest.description
        self._asked = len(manifest.questions)

    def open(self, look: work.LookWork) -> list[work.Sequence]:
        """The sequences of a look: every image where flags are wanted, else the first alone."""
        request = look.request
        images = range(len(request.images) if request.flags else 1)
        sequences = [self._sequence(look, image) for image in images]
        look.unfinished = len(sequences)
        if sequences[0].describes:
            look.describing = sequences[0]
        return sequences

    def answered(
        self, sequence: work.Sequence, logits: Sequence[NDArray[np.float32]]
    ) -> work.Sequence | None:
        """Takes a prefill's answers in. Where they are too uncertain to be final, nothing is kept of them and
        the closer look to take instead is returned. Raises ArithmeticError for answers that are no numbers.
        """
        look, image = sequence.look, sequence.image
        flags = look.request.flags
        scores = self._book.scores(logits[: self._asked], image) if flags else []
        if closer := self._look_closer(sequence, scores):
            return closer
        if image == 0 and look.request.attributes:
            look.attributes = self._book.attributes(logits[self._asked if flags else 0 :])
        look.scores[image] = scores
        look.rejected = look.rejected or self._rejects(look, scores)
        return None

    def describe(self, sequence: work.Sequence, token: int) -> bool:
        """Takes a description's next token in; True where that ends it. Raises ArithmeticError for -1."""
        if token < 0:
            raise ArithmeticError("description: the model's answer is no number to choose a word by")
        settings = self._description
        limit = settings.max_new_tokens if settings else 0
        if token not in self._stop:
            sequence.written.append(token)
            if len(sequence.written) < limit:
                return False
        sequence.look.description = self._write(sequence.written)
        return True

    def dice(self, sequence: work.Sequence) -> NDArray[np.float32] | None:
        """Numbers to draw a description with, the same for the same picture and instruction; None where it is
        greedy.
        """
        if self._description is None or not self._description.temperature or not sequence.pack.describe:
            return None
        seed = hashlib.blake2b(sequence.view.tobytes(), digest_size=16)
        seed.update(repr(sequence.pack.describe.tokens).encode())
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(seed.digest(), "big")))
        return generator.random(self._description.max_new_tokens, dtype=np.float32)

    def end(self, sequence: work.Sequence) -> None:
        """A sequence has ended; the last one of a look tells what was seen."""
        look = sequence.look
        if look.describing is sequence:
            look.describing = None
        look.unfinished -= 1
        if look.unfinished == 0:
            scores = tuple(score for image in sorted(look.scores) for score in look.scores[image])
            description = None if look.rejected else look.description
            look.finish(Look(scores, tuple(look.attributes), description, look.language, look.timings))

    def _sequence(self, look: work.LookWork, image: int) -> work.Sequence:
        request, views = look.request, look.request.images[image]
        describes = image == 0 and request.description and self._description is not None
        wants = Wants(request.flags, image == 0 and request.attributes, look.language if describes else None)
        pack = self._book.pack(request.listing, wants)
        return self._sized(work.Sequence(look, image, views.first, pack, 0, 0, describes))

    def _sized(self, sequence: work.Sequence) -> work.Sequence:
        height, width = sequence.view.shape[:2]
        visual = (height // self._cell) * (width // self._cell)
        pack = sequence.pack
        return replace(sequence, tokens=visual + len(pack.tail), prompt=pack.prompt(visual))

    def _look_closer(self, sequence: work.Sequence, scores: Sequence[QuestionScore]) -> work.Sequence | None:
        rule, view = self._closer, sequence.look.request.images[sequence.image].closer
        if rule is None or view is None or sequence.closer:
            return None
        if not any(rule.low <= score.probability <= rule.high for score in scores):
            return None
        closer = self._sized(replace(sequence, view=view, closer=True, row=None, written=[]))
        if sequence.look.describing is sequence:
            sequence.look.describing = closer
        return closer

    def _rejects(self, look: work.LookWork, scores: Sequence[QuestionScore]) -> bool:
        if look.request.describe_rejected or self._description is None or self._description.reject is None:
            return False
        return any(score.probability >= self._description.reject for score in scores)
