"""What an evaluation found: for programs as JSON, for people as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ostiary_moderation.evaluation.attributes import AttributeFigures
from ostiary_moderation.evaluation.policies import Judgement, PolicyFigures

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Report:
    """Everything measured of one bundle on one set of photographs.

    `not_measured`: policy labels that the bundle judges and that cannot be drawn. `seconds`: of looking.
    """

    bundle: Mapping[str, str]
    photos: int
    senders: int
    held_out: bool
    seed: int
    looks: int
    seconds: float
    attributes: Mapping[str, AttributeFigures]
    policies: Mapping[str, PolicyFigures]
    not_measured: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values, to be dumped."""
        return {
            "bundle": dict(self.bundle),
            "photos": self.photos,
            "senders": self.senders,
            "held_out_senders_only": self.held_out,
            "seed": self.seed,
            "looks": self.looks,
            "seconds": round(self.seconds, 1),
            "attributes": {name: figures.to_json() for name, figures in self.attributes.items()},
            "policies": {name: figures.to_json() for name, figures in self.policies.items()},
            "not_measured": list(self.not_measured),
        }

    def tables(self) -> list[RenderableType]:
        """Tables for a console."""
        tables = [_attribute_table(self.attributes), _policy_table(self.policies)]
        return [*tables, *(_recall_table(name, figures) for name, figures in self.attributes.items())]


def _attribute_table(attributes: Mapping[str, AttributeFigures]) -> RenderableType:
    from rich.table import Table

    table = Table(
        "attribute",
        "n",
        "top 1 [95%]",
        "top 3 [95%]",
        "commonest",
        "linear probe",
        "ECE",
        title="Attributes",
    )
    for name, figures in attributes.items():
        commonest = f"{figures.commonest[1].value:.3f} ({figures.commonest[0]})"
        probe = f"{figures.probe.value:.3f}" if figures.probe else "–"
        cells = (name, str(figures.top1.n), str(figures.top1), str(figures.top3), commonest, probe)
        table.add_row(*cells, f"{figures.ece:.3f}")
    return table


def _policy_table(policies: Mapping[str, PolicyFigures]) -> RenderableType:
    from rich.table import Table

    table = Table(
        "policy / question",
        "yes / no",
        "AUROC, benign overlays [95%]",
        "AUROC, untouched [95%]",
        "ECE",
        "ECE as served",
        title="Policies",
    )
    for name, figures in policies.items():
        table.add_row(name, *_cells(figures.policy))
        for question, judgement in figures.questions.items():
            table.add_row(f"  {question}", *_cells(judgement))
    return table


def _cells(judgement: Judgement) -> list[str]:
    return [
        f"{judgement.positives} / {judgement.negatives}",
        str(judgement.auroc),
        str(judgement.against_untouched),
        f"{judgement.ece:.3f}",
        f"{judgement.ece_as_served:.3f}",
    ]


def _recall_table(name: str, figures: AttributeFigures) -> RenderableType:
    from rich.table import Table

    table = Table(name, "n", "recall [95%]", title=f"Recall by {name}")
    for value, figure in figures.recall.items():
        table.add_row(value, str(figure.n), str(figure))
    return table
