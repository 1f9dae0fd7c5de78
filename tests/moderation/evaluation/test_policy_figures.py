"""Figures of policies and their questions, on answers whose right figures are known."""

from __future__ import annotations

import numpy as np
import pytest

from moderation.evaluation.answering import manifest, scored
from ostiary_moderation.evaluation.examine import Answered
from ostiary_moderation.evaluation.policies import judge_policies

LABELS = ("qr_code", "contact_details")


def drawn(count: int, skill: float, prevalence: float, seed: int = 0) -> list[Answered]:
    """Answers on untouched, prohibited and benign examples whose probabilities are exactly Bayes' rule's.

    Margins of positives and negatives are normal, `skill` apart; the probability follows from the two
    densities and the prevalence, so that it is calibrated for that prevalence by construction.
    """
    rng = np.random.default_rng(seed)

    def probability(truth: bool) -> float:
        margin = rng.normal(skill / 2 if truth else -skill / 2)
        odds = np.exp(skill * margin) * prevalence / (1 - prevalence)
        return float(odds / (1 + odds))

    answers = []
    for index in range(count):
        kind = LABELS[index % 2]
        for untouched, flags in (
            (True, dict.fromkeys(LABELS, False)),
            (False, {label: label == kind for label in LABELS}),
            (False, dict.fromkeys(LABELS, False)),
        ):
            said = {label: probability(flags[label]) for label in LABELS}
            answers.append(scored(str(index), said, flags, untouched))
    return answers


def test_a_question_is_counted_on_its_own_kind() -> None:
    """Positives are its own; the other kind's overlays are negatives, untouched photographs are set apart."""
    figures = judge_policies(manifest(), drawn(40, 3.0, 0.1), LABELS)["prohibited_ads"]
    assert (figures.policy.positives, figures.policy.negatives) == (40, 40)
    question = figures.questions["qr_code"]
    assert (question.positives, question.negatives) == (20, 60)
    assert question.against_untouched.n == 20 + 40


def test_perfect_answers_are_perfect_and_reversed_ones_are_not() -> None:
    """Area 1 for every positive above every negative; 0 for the opposite."""
    truth = {"qr_code": True, "contact_details": False}
    clean = dict.fromkeys(LABELS, False)

    def answers(high: float, low: float) -> list[Answered]:
        return [
            scored(str(index), {"qr_code": p, "contact_details": 0.01}, flags, untouched)
            for index in range(30)
            for p, flags, untouched in ((high, truth, False), (low, clean, False), (low, clean, True))
        ]

    good = judge_policies(manifest(), answers(0.9, 0.1), ("qr_code",))["prohibited_ads"]
    bad = judge_policies(manifest(), answers(0.1, 0.9), ("qr_code",))["prohibited_ads"]
    assert (good.policy.auroc.value, bad.policy.auroc.value) == (1.0, 0.0)
    assert list(good.questions) == ["qr_code"]


@pytest.mark.parametrize("prevalence", [0.02, 0.1, 0.5])
def test_calibrated_probabilities_show_little_error_whatever_they_are_meant_for(prevalence: float) -> None:
    """As served and at balanced prevalence: the bundle's prevalence is reckoned with."""
    figures = judge_policies(manifest(prevalence), drawn(1200, 2.0, prevalence), LABELS)["prohibited_ads"]
    for question in figures.questions.values():
        assert question.ece < 0.04
        assert question.ece_as_served < 0.04


def test_probabilities_for_another_prevalence_show_error() -> None:
    """Made for half, declared for a tenth: far too sure."""
    figures = judge_policies(manifest(0.1), drawn(800, 2.0, 0.5), LABELS)["prohibited_ads"]
    assert figures.questions["qr_code"].ece > 0.1
    assert figures.questions["qr_code"].ece_as_served > 0.1


def test_a_policy_is_as_sure_as_its_surest_question() -> None:
    """Its score is the highest of its questions': with one that sees and one that does not, it still sees."""
    answers = drawn(200, 4.0, 0.1)
    figures = judge_policies(manifest(), answers, LABELS)["prohibited_ads"]
    assert figures.policy.auroc.value > 0.93
    assert figures.policy.ece < 0.12
