"""AnalysisTemplate: by what a candidate is judged. AnalysisRun: one judgement of one candidate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ostiary_operator.resources.part import Name, Part, Seconds, Time

Harm = Literal["Increase", "Decrease", "Either"]


class Comparison(Part):
    """A figure of both versions as the gateways count it, candidate beside baseline.

    `figure`: `errors`, `latency`, `flags/LABEL`, `flags/LABEL/CATEGORY`, or the same with `flips`. `harm`:
    which difference is bad. `margin`: how much of it is borne, in the figure's own unit: shares 0 to 1, or
    seconds.
    """

    figure: Annotated[str, Field(pattern=r"^(errors|latency|(flags|flips)/[a-z_]+(/[^/]+)?)$")]
    harm: Harm = "Increase"
    margin: float = Field(ge=0.0)


class Query(Part):
    """A Prometheus query of one number, and where that number is good. A measurement outside is a failure;
    more than `failure_limit` of them and the run has failed; no number at all proves nothing.
    """

    query: str = Field(min_length=1, max_length=4096)
    at_least: float | None = None
    at_most: float | None = None
    failure_limit: Annotated[int, Field(ge=0, le=100)] = 0
    interval_seconds: Annotated[float, Field(gt=0.0, le=3600.0)] = 15.0

    @model_validator(mode="after")
    def _bounded(self) -> Query:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give atLeast, atMost or both; without them any number would be good")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError("atLeast is above atMost: no number would be good")
        return self


class Metric(Part):
    """One thing to judge by, exactly one of `compare` and `prometheus`."""

    name: Name
    compare: Comparison | None = None
    prometheus: Query | None = None

    @model_validator(mode="after")
    def _one(self) -> Metric:
        if (self.compare is None) == (self.prometheus is None):
            raise ValueError("give exactly one of compare and prometheus")
        return self


class AnalysisTemplateSpec(Part):
    """`min_samples`: checks of the candidate before anything is said of it. `seconds`: by when; what is not
    settled then is inconclusive. `alpha`: how often a good candidate may be failed, over all metrics and
    however often one looks.
    """

    metrics: tuple[Metric, ...] = Field(min_length=1, max_length=50)
    min_samples: Annotated[int, Field(ge=1, le=10_000_000)]
    seconds: Seconds = 600.0
    alpha: Annotated[float, Field(gt=0.0, le=0.2)] = 0.01

    @model_validator(mode="after")
    def _named_once(self) -> AnalysisTemplateSpec:
        names = [metric.name for metric in self.metrics]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"metrics: {', '.join(twice)} stands there twice")
        return self


class AnalysisRunSpec(AnalysisTemplateSpec):
    """What the template said when the run began, and of whom. `candidate`, `baseline`: ModelVersions. `arms`:
    of an A/B whose control is told apart, only the checks of its two arms are compared.
    """

    model: Name
    candidate: Name
    baseline: Name
    arms: bool = False


class AnalysisRunStatus(Part):
    """How the run stands."""

    phase: Literal["Running", "Successful", "Failed", "Inconclusive", "Error"] = "Running"
    message: str = ""
    started_at: Time | None = None
