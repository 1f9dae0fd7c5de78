"""What becomes of a candidate by what was measured of it."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from ostiary_operator.analysis.judging import Measured, Pair, judge
from ostiary_operator.analysis.sequential import Moments
from ostiary_operator.resources.analysis import AnalysisTemplateSpec


def template(*metrics: dict[str, object], **changes: object) -> AnalysisTemplateSpec:
    return AnalysisTemplateSpec.model_validate(
        {"metrics": list(metrics), "minSamples": 100, "seconds": 600, **changes}
    )


def compare(figure: str = "errors", harm: str = "Increase", margin: float = 0.02) -> dict[str, object]:
    return {"name": "it", "compare": {"figure": figure, "harm": harm, "margin": margin}}


def share(yes: int, count: int) -> Moments:
    return Moments(count, float(yes), float(yes))


ERRORS = {
    "the same": (share(100, 10_000), share(100, 10_000), "Increase", "Successful"),
    "many more": (share(2_000, 10_000), share(100, 10_000), "Increase", "Failed"),
    "many fewer, which does no harm": (share(0, 10_000), share(2_000, 10_000), "Increase", "Successful"),
    "many fewer, which does harm": (share(0, 10_000), share(2_000, 10_000), "Decrease", "Failed"),
    "many fewer, where either does harm": (share(0, 10_000), share(2_000, 10_000), "Either", "Failed"),
    "many more, where either does harm": (share(2_000, 10_000), share(0, 10_000), "Either", "Failed"),
    "too few to say": (share(3, 150), share(1, 150), "Increase", "Running"),
    "fewer than the least": (share(99, 99), share(0, 10_000), "Increase", "Running"),
}


@pytest.mark.parametrize(("candidate", "baseline", "harm", "phase"), ERRORS.values(), ids=ERRORS)
def test_versions_are_compared(candidate: Moments, baseline: Moments, harm: str, phase: str) -> None:
    """Failed and good are both proved; what is neither goes on."""
    measured = Measured(60, {"it": Pair(candidate, baseline)}, {})
    assert judge(template(compare(harm=harm)), measured).phase == phase


def test_what_is_not_settled_in_time_is_inconclusive() -> None:
    """Too little traffic is no fault of the candidate, and no merit."""
    measured = Measured(600, {"it": Pair(share(1, 50), share(1, 5_000))}, {})
    found = judge(template(compare()), measured)
    assert (found.phase, found.message) == ("Inconclusive", "it: 50 of 100 checks")
    assert judge(template(compare()), Measured(600, {}, {})).phase == "Inconclusive"


QUERIES = {
    "good": ([0.01, 0.02], "Successful"),
    "one bad one too many": ([0.01, 0.2, 0.3], "Failed"),
    "one bad one": ([0.01, 0.2, 0.01], "Successful"),
    "no answers": ([math.nan, math.nan], "Inconclusive"),
    "mostly no answers": ([math.nan, math.nan, 0.01], "Inconclusive"),
    "infinite": ([math.inf, math.inf], "Failed"),
    "never asked": ([], "Inconclusive"),
}


@pytest.mark.parametrize(("numbers", "phase"), QUERIES.values(), ids=QUERIES)
def test_queries_have_bounds(numbers: list[float], phase: str) -> None:
    """NaN is no number: it neither fails a candidate nor promotes it."""
    metric = {"name": "it", "prometheus": {"query": "q", "atMost": 0.1, "failureLimit": 1}}
    assert judge(template(metric), Measured(600, {}, {"it": numbers})).phase == phase


def test_one_failed_metric_decides() -> None:
    """Before the time is up, and whatever the others say."""
    query = {"name": "query", "prometheus": {"query": "q", "atLeast": 1}}
    measured = Measured(10, {"it": Pair(share(1, 10_000), share(1, 10_000))}, {"query": [0.0]})
    found = judge(template(compare(), query), measured)
    assert found.phase == "Failed"
    assert found.message == "query: 1 of 1 measurements out of bounds: 0"


BAD = {
    "no samples": ({"minSamples": 0}, "minSamples"),
    "no metrics": ({"metrics": []}, "metrics"),
    "both kinds": (
        {"metrics": [{**compare(), "prometheus": {"query": "q", "atMost": 1}}]},
        "exactly one of compare and prometheus",
    ),
    "no bounds": ({"metrics": [{"name": "a", "prometheus": {"query": "q"}}]}, "any number would be good"),
    "bounds upside down": (
        {"metrics": [{"name": "a", "prometheus": {"query": "q", "atLeast": 2, "atMost": 1}}]},
        "no number would be good",
    ),
    "unknown figure": ({"metrics": [compare(figure="beauty")]}, "figure"),
    "twice the same name": ({"metrics": [compare(), compare()]}, "it stands there twice"),
    "a margin that is no number": ({"metrics": [compare(margin=math.nan)]}, "margin"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_a_template_that_judges_nothing_is_refused(changes: dict[str, object], message: str) -> None:
    """With the field that is wrong."""
    with pytest.raises(ValidationError, match=message):
        template(compare(), **changes)
