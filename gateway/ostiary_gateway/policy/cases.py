"""Cases for a policy: what is seen, and what must come of it. Pure.

A case is written in few words; a sound pod's observations are made of them, so that it is decided as a check
is. What only a registry or a hash list can find is not for cases, but for `ostiary brands test` and
`ostiary lists lookup`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ostiary.v1.decision_pb2 import Action, Finding, Verdict
from ostiary.v1.image_pb2 import Box, CanonicalImage, Region
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import (
    Attribute,
    Barcode,
    BundleInfo,
    CalibrationPoint,
    DetectorInfo,
    Observations,
    OcrSpan,
    PolicyScore,
)
from ostiary_gateway import strict_yaml
from ostiary_gateway.policy.decide import Decision, Subject, decide
from ostiary_gateway.policy.in_force import PolicyInForce

_MODEL = ConfigDict(extra="forbid", frozen=True)
_LINE_HEIGHT = 30
# Detectors whose evidence cases can give, beside those that rule packs need.
_LOOKING = frozenset({"ocr", "barcode"})
Probability = Annotated[float, Field(ge=0, le=1)]


class Score(BaseModel):
    """An answer of the model, or of a detector."""

    model_config = _MODEL

    policy: str
    label: str
    score: Probability
    """Calibrated."""
    precision: Probability | None = None
    """Precision that the score reaches in the bundle's table; what `targetPrecision` is compared with."""
    source: str = "vlm"


class Case(BaseModel):
    """One image of a listing, what is seen of it, and what must come of that."""

    model_config = _MODEL

    name: str
    title: str = ""
    description: str = ""
    category: str = ""
    territory: str = ""
    text: tuple[str, ...] = ()
    """Lines read in the image."""
    barcodes: tuple[str, ...] = ()
    """Payloads of QR codes."""
    scores: tuple[Score, ...] = ()
    seen: dict[str, str] = {}
    """Attributes that are certain: `styling: on a mannequin`."""
    unsupported: tuple[str, ...] = ()
    """Policies that no bundle can judge."""
    fails: Literal["model", "pod"] | None = None
    """What does not answer."""
    verdict: Literal["ALLOW", "REVIEW", "BLOCK", "HOLD"]
    findings: tuple[str, ...] | None = None
    """`policy/label ACTION` each, in whatever order; leave it out where they do not matter."""

    @model_validator(mode="after")
    def _consistent(self) -> "Case":
        seen = self.text or self.barcodes or self.scores or self.seen
        if self.fails == "pod" and seen:
            raise ValueError("nothing is seen where the pod fails: leave text, barcodes, scores and seen out")
        if self.fails == "model" and any(score.source == "vlm" for score in self.scores):
            raise ValueError("the model answers nothing where it fails: leave its scores out")
        return self


class Cases(BaseModel):
    """A file of cases."""

    model_config = _MODEL

    cases: Annotated[tuple[Case, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Tried:
    """A case, and what came of it."""

    case: Case
    decision: Decision

    @property
    def verdict(self) -> str:
        """The verdict, as people see it."""
        return Verdict.Name(self.decision.verdict).removeprefix("VERDICT_")

    @property
    def problems(self) -> list[str]:
        """What came out otherwise than the case says, in words."""
        found = []
        if self.verdict != self.case.verdict:
            found.append(f"is {self.verdict}, not {self.case.verdict}")
        made = sorted(map(hit, self.decision.findings))
        if self.case.findings is not None and sorted(self.case.findings) != made:
            found.append(
                f"finds {', '.join(made) or 'nothing'}, not {', '.join(self.case.findings) or 'nothing'}"
            )
        return found


def read(text: str) -> Cases:
    """The cases in `text`. Raises ValueError, in words."""
    return strict_yaml.parse_model(text, Cases)


def tried(cases: Cases, policy: PolicyInForce, at: datetime) -> list[Tried]:
    """Decide each case by `policy`; `at` is an aware time."""
    return [Tried(case, decide(_subject(case, policy, at), policy)) for case in cases.cases]


def hit(found: Finding) -> str:
    """A finding as cases write it: `policy/label ACTION`."""
    return f"{found.policy}/{found.label} {Action.Name(found.action).removeprefix('ACTION_')}"


def _subject(case: Case, policy: PolicyInForce, at: datetime) -> Subject:
    listing = Listing(
        title=case.title,
        description=case.description,
        category=case.category,
        territory=case.territory,
    )
    seen = None if case.fails == "pod" else _observations(case, policy)
    return Subject(listing, 1, seen, at, failure="the case says so")


def _observations(case: Case, policy: PolicyInForce) -> Observations:
    """What a sound pod would have seen."""
    names = [rule.policy for rule in policy.message.policies]
    needed = _LOOKING.union(*(pack.needs for pack in policy.packs))
    return Observations(
        images=[CanonicalImage(raw_sha256=_hash("raw"), sha256=_hash("canonical"), width=1000, height=1000)],
        ocr=[OcrSpan(text=line, confidence=1.0, region=_line(place)) for place, line in enumerate(case.text)],
        barcodes=[Barcode(format="QRCode", text=payload, region=_line(0)) for payload in case.barcodes],
        scores=[_score(score) for score in case.scores],
        attributes=[Attribute(name=name, value=value, confidence=1.0) for name, value in case.seen.items()],
        bundle=BundleInfo(name="case", version="1", digest=_hash("bundle")),
        detectors=[DetectorInfo(name=name, completed=True) for name in sorted(needed)],
        capabilities=sorted({*names, *(score.policy for score in case.scores)} - set(case.unsupported)),
        calibration=_calibration(case, names),
    )


def _calibration(case: Case, names: Sequence[str]) -> list[CalibrationPoint]:
    """Rows that give scores their precision; a failed model was asked about everything, without an answer."""
    rows = [
        CalibrationPoint(
            policy=score.policy,
            label=score.label,
            question=score.label,
            precision=score.precision,
            threshold=score.score,
        )
        for score in case.scores
        if score.precision is not None
    ]
    if case.fails == "model":
        rows += [CalibrationPoint(policy=name, question="asked", precision=1, threshold=1) for name in names]
    return rows


def _score(score: Score) -> PolicyScore:
    return PolicyScore(
        policy=score.policy,
        label=score.label,
        question=score.label,
        probability=score.score,
        source=score.source,
    )


def _line(place: int) -> Region:
    return Region(box=Box(x=10, y=10 + place * _LINE_HEIGHT, width=500, height=_LINE_HEIGHT - 5))


def _hash(of: str) -> bytes:
    return hashlib.sha256(of.encode()).digest()
