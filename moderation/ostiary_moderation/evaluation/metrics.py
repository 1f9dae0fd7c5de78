"""Figures of merit and calibration of a yes/no question. Pure; margins are raw, labels bool, both (N,)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ostiary_moderation.bundle import Calibration, PrecisionPoint

Margins = NDArray[np.float64]
Labels = NDArray[np.bool_]
PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)


def area_under_curve(margins: Margins, labels: Labels) -> float:
    """Probability that a random positive scores above a random negative; a tie counts half. Raises ValueError
    unless there are both."""
    if labels.all() or not labels.any():
        raise ValueError("the area needs positives and negatives: measure on more photographs")
    _, inverse, counts = np.unique(margins, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2.0
    positives = int(labels.sum())
    total = float(ranks[inverse][labels].sum())
    return (total - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


def fit_platt(margins: Margins, labels: Labels, prevalence: float, steps: int = 100) -> tuple[float, float]:
    """Slope and intercept of sigmoid(slope * margin + intercept), by weighted logistic regression (Newton).

    Positives weigh `prevalence` altogether, negatives the rest, so that probabilities hold where that share
    is positive. The slope is kept positive: a margin that does not help gets a slope of almost none.
    """
    weights = _weights(labels, prevalence)
    scale = float(margins.std()) or 1.0
    design = np.stack([margins / scale, np.ones_like(margins)], axis=1)
    theta = np.array([1.0, np.log(prevalence / (1 - prevalence))])
    ridge = np.diag([1e-4, 1e-6])
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ theta, -40, 40)))
        gradient = design.T @ (weights * (p - labels)) + ridge @ theta
        curvature = (design * (weights * p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, gradient)
        theta = theta - step * min(1.0, 2.0 / float(np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return max(float(theta[0]) / scale, 1e-3), float(theta[1])


def fit_values(
    logits: NDArray[np.float64], truth: NDArray[np.intp], doubt: float = 0.01, steps: int = 100
) -> tuple[float, NDArray[np.float64]]:
    """Slope and biases of softmax(slope * logits + biases), by penalised maximum likelihood (Newton).

    Args:
        logits: raw, (N, K).
        truth: index of the true value of each, (N,).
        doubt: weight of the biases' squares beside the mean log loss: a value that was hardly seen keeps the
            bias 0.

    Returns:
        The slope, > 0, and the biases, (K,), whose sum is 0.
    """
    count, values = logits.shape
    centred = logits - logits.mean(axis=1, keepdims=True)
    theta = np.zeros(values + 1)
    theta[0] = 1.0
    penalty = np.append(1e-6, np.full(values, 2 * doubt))
    origin = theta.copy()
    # d(slope * logit + bias) / d(slope, biases) of every value of every example: (N, K, K + 1)
    design = np.concatenate(
        [centred[:, :, None], np.broadcast_to(np.eye(values), (count, values, values))], 2
    )
    for _ in range(steps):
        scores = design @ theta
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        missed = shares.copy()
        missed[np.arange(count), truth] -= 1.0
        gradient = np.einsum("nk,nkd->d", missed, design) / count + penalty * (theta - origin)
        mean = np.einsum("nk,nkd->nd", shares, design)
        curvature = np.einsum("nk,nkd,nke->de", shares, design, design) / count - mean.T @ mean / count
        step = np.linalg.solve(curvature + np.diag(penalty), gradient)
        theta = theta - step * min(1.0, 1.0 / float(np.abs(step).max() + 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    biases = theta[1:] - theta[1:].mean()
    return max(float(theta[0]), 1e-3), biases


def precision_table(
    probabilities: Margins, labels: Labels, prevalence: float, wanted: Sequence[float] = PRECISIONS
) -> tuple[PrecisionPoint, ...]:
    """For each wanted precision, the lowest threshold that reaches it; a precision that none reaches has no
    row.

    Cautious: one more false positive is assumed than was counted, because the set is finite.
    """
    order = np.argsort(-probabilities, kind="stable")
    sorted_labels, sorted_probabilities = labels[order], probabilities[order]
    recall = np.cumsum(sorted_labels) / max(int(labels.sum()), 1)
    false_rate = (np.cumsum(~sorted_labels) + 1) / (int((~labels).sum()) + 1)
    found, wrong = prevalence * recall, (1 - prevalence) * np.minimum(false_rate, 1.0)
    precision = np.where(found > 0, found / np.maximum(found + wrong, 1e-12), 0.0)
    last_of_tie = np.append(sorted_probabilities[1:] < sorted_probabilities[:-1], True)
    points = []
    for target in wanted:
        reached = np.flatnonzero((precision >= target) & last_of_tie)
        if len(reached):
            # Not lower than recall asks for: the highest threshold that finds as much.
            at = int(reached[recall[reached] == recall[reached[-1]]][0])
            # Downwards, so that the example the threshold was read from still reaches it.
            threshold = float(np.floor(sorted_probabilities[at] * 1e6) / 1e6)
            points.append(
                PrecisionPoint(precision=target, threshold=threshold, recall=round(float(recall[at]), 4))
            )
    return tuple(points)


def calibrate(margins: Margins, labels: Labels, prevalence: float) -> Calibration:
    """Probability map and precision table of a question."""
    slope, intercept = fit_platt(margins, labels, prevalence)
    fitted = Calibration(slope=round(slope, 6), intercept=round(intercept, 6), prevalence=prevalence)
    probabilities = np.array([fitted.probability(float(margin)) for margin in margins])
    return fitted.model_copy(update={"table": precision_table(probabilities, labels, prevalence)})


def _weights(labels: Labels, prevalence: float) -> Margins:
    positives = max(int(labels.sum()), 1)
    negatives = max(int((~labels).sum()), 1)
    return np.where(labels, prevalence / positives, (1 - prevalence) / negatives)


def at_prevalence(probabilities: Margins, made_for: float, wanted: float) -> Margins:
    """Probabilities for where the share `made_for` is positive, moved by Bayes' rule to where `wanted` is.

    The odds change by the ratio of the prior odds; the order stays.
    """
    ratio = wanted / (1 - wanted) * (1 - made_for) / made_for
    odds = probabilities * ratio
    return odds / (odds + 1 - probabilities)


def calibration_error(probabilities: Margins, labels: Labels, weights: Margins, bins: int = 10) -> float:
    """Expected calibration error: the mean distance between what was said and what was true, over bins.

    Bins hold about equal weight, not equal width, so that none is empty where probabilities crowd; equal
    probabilities share one. `weights`: of each example, (N,), not all 0.
    """
    weights = weights / weights.sum()
    _, step = np.unique(probabilities, return_inverse=True)
    of_step = np.bincount(step, weights)
    middle = (np.cumsum(of_step) - of_step / 2)[step]
    edges = np.minimum(middle * bins, bins - 1).astype(np.intp)
    gap = np.bincount(edges, weights * (probabilities - labels), minlength=bins)
    return float(np.abs(gap).sum())
