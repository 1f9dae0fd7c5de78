"""How well a bundle's policy questions tell, from answers beside the truth. Pure.

Two things are asked of probabilities. *Order*: AUROC, which no calibration changes. *Calibration*: whether of
those said to be 0.7, seven in ten are. The second depends on how many are positive at all, and a bundle says
for what share (each question's `prevalence`) its probabilities are meant. So the error is told twice:

- `ece_as_served`: of the probabilities as they are served, the examples weighted until each label is as
  frequent as its question's prevalence says.
- `ece`: at balanced prevalence, where errors cannot hide behind a crowd of easy negatives. The probabilities
  are moved from the bundle's prevalence to that of the examples by Bayes' rule: half of them prohibited, each
  drawn label as often as another; for a single question, weighted to half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.bundle import Manifest, Question
from ostiary_moderation.evaluation.examine import Answered
from ostiary_moderation.evaluation.intervals import Figure, bootstrap
from ostiary_moderation.evaluation.metrics import area_under_curve, at_prevalence, calibration_error

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """Figures of one question, or of a policy. `against_untouched`: prohibited examples set against untouched
    photographs instead of benign overlays.
    """

    positives: int
    negatives: int
    auroc: Figure
    against_untouched: Figure
    ece: float
    ece_as_served: float

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        return {
            "positives": self.positives,
            "negatives": self.negatives,
            "auroc": self.auroc.to_json(),
            "auroc_against_untouched": self.against_untouched.to_json(),
            "ece": round(self.ece, 4),
            "ece_as_served": round(self.ece_as_served, 4),
        }


@dataclass(frozen=True)
class PolicyFigures:
    """A policy's figures and its questions', by question id."""

    policy: Judgement
    questions: Mapping[str, Judgement]

    def to_json(self) -> dict[str, object]:
        """The policy's figures, its questions' below `questions`."""
        questions = {name: judgement.to_json() for name, judgement in self.questions.items()}
        return {**self.policy.to_json(), "questions": questions}


def judge_policies(
    manifest: Manifest, answers: Sequence[Answered], labels: Sequence[str], seed: int = 0
) -> dict[str, PolicyFigures]:
    """Figures by policy, of the questions whose labels were drawn."""
    asked = [question for question in manifest.questions if question.label in labels]
    sheet = _Sheet(answers, asked, seed)
    found = {}
    for policy in dict.fromkeys(question.policy for question in asked):
        own = [question for question in asked if question.policy == policy]
        each = {question.id: sheet.judge([question]) for question in own}
        found[policy] = PolicyFigures(sheet.judge(own), each)
    return found


class _Sheet:
    """Answers as arrays: one row an example."""

    def __init__(self, answers: Sequence[Answered], asked: Sequence[Question], seed: int) -> None:
        self._seed = seed
        self._groups = [answer.example.group for answer in answers]
        self._untouched = np.array([answer.example.untouched for answer in answers])
        self._truth = {
            question.label: np.array([answer.example.flags[question.label] for answer in answers])
            for question in asked
        }
        self._served = {question.id: _probabilities(answers, question.id) for question in asked}

    def judge(self, questions: Sequence[Question]) -> Judgement:
        """Figures of questions taken together: an example's score is the highest of theirs."""
        labels = list(dict.fromkeys(question.label for question in questions))
        truth = np.logical_or.reduce([self._truth[label] for label in labels])
        prior = {question.label: question.calibration.prevalence for question in questions}
        served = np.max([self._served[question.id] for question in questions], axis=0)
        drawn = ~self._untouched
        balanced = {label: 0.5 / len(labels) for label in labels}
        moved = np.max(
            [
                at_prevalence(
                    self._served[question.id], question.calibration.prevalence, balanced[question.label]
                )
                for question in questions
            ],
            axis=0,
        )
        return Judgement(
            positives=int(truth.sum()),
            negatives=int((drawn & ~truth).sum()),
            auroc=self._area(served, truth, drawn),
            against_untouched=self._area(served, truth, truth | self._untouched),
            ece=self._error(moved, truth, balanced, drawn),
            ece_as_served=self._error(served, truth, prior, drawn),
        )

    def _area(self, scores: Floats, truth: NDArray[np.bool_], rows: NDArray[np.bool_]) -> Figure:
        scores, truth = scores[rows], truth[rows]
        groups = [group for group, there in zip(self._groups, rows, strict=True) if there]

        def area(chosen: NDArray[np.intp]) -> float | None:
            picked = truth[chosen]
            if picked.all() or not picked.any():
                return None
            return area_under_curve(scores[chosen], picked)

        return bootstrap(groups, area, self._seed)

    def _error(
        self,
        probabilities: Floats,
        truth: NDArray[np.bool_],
        prior: Mapping[str, float],
        rows: NDArray[np.bool_],
    ) -> float:
        """Calibration error, the examples weighted until each label is as frequent as `prior` says."""
        weights = np.zeros(len(truth))
        for label, share in prior.items():
            own = self._truth[label] & rows
            weights[own] = share / max(int(own.sum()), 1)
        rest = rows & ~truth
        weights[rest] = max(1e-6, 1.0 - sum(prior.values())) / max(int(rest.sum()), 1)
        return calibration_error(probabilities[rows], truth[rows], weights[rows])


def _probabilities(answers: Sequence[Answered], question: str) -> Floats:
    def of(answer: Answered) -> float:
        return next(score.probability for score in answer.look.scores if score.question == question)

    return np.array([of(answer) for answer in answers])
