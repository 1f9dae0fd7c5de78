"""Rule packs as they are written: the shape of the YAML, and what is refused."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ostiary_gateway import strict_yaml
from ostiary_gateway.rules.problem import BadPack, Lines, Place, Problem

TextField = Literal["image", "title", "description", "barcode"]
Severity = Literal["block", "review", "note"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
_MODEL = ConfigDict(extra="forbid", frozen=True, strict=True)

# What a severity counts as among the scores that policies set thresholds on, and the least score that is one.
SCORES: dict[Severity, float] = {"block": 1.0, "review": 0.6, "note": 0.3}
_FROM: dict[Severity, float] = {"block": 0.9, "review": 0.5, "note": 0.0}


def severity_of(score: float) -> Severity:
    """The severity that a score stands for, as the default policy's thresholds have it."""
    return next(severity for severity, least in _FROM.items() if score >= least)


class RuleSource(BaseModel):
    """One rule, as written.

    `patterns` and `exceptions` are Python regular expressions over the reading of a text (rules/normal.py),
    in which `<name>` stands for an entry of the pack's `define`; an exception that touches a match takes it
    away. `matches` and `ignores` are texts that the rule must and must not match. `severity` says in a word
    what `score` says in a number: give one of the two, or neither for `block`.
    """

    model_config = _MODEL

    id: Name
    policy: Name
    label: Name
    severity: Severity | None = None
    score: Annotated[float, Field(gt=0, le=1)] | None = None
    fields: Annotated[list[TextField], Field(min_length=1)] = ["image", "title", "description"]
    formats: list[str] = []
    article: str = ""
    patterns: Annotated[list[str], Field(min_length=1)]
    exceptions: list[str] = []
    seller_reason: Annotated[str, Field(min_length=1)]
    matches: Annotated[list[str], Field(min_length=1)]
    ignores: list[str] = []

    @model_validator(mode="after")
    def _one_gravity(self) -> Self:
        if self.severity and self.score is not None:
            raise ValueError("give severity or score, not both")
        return self

    @model_validator(mode="after")
    def _formats_for_barcodes(self) -> Self:
        if (self.fields == ["barcode"]) != bool(self.formats):
            raise ValueError("give formats to a rule whose one field is barcode, and to no other")
        return self

    @property
    def weight(self) -> float:
        """The score that the rule's matches get."""
        return self.score if self.score is not None else SCORES[self.severity or "block"]


class PackSource(BaseModel):
    """A rule pack, as written."""

    model_config = _MODEL

    name: Name
    version: Annotated[str, Field(min_length=1)]
    jurisdiction: Annotated[str, Field(pattern=r"^([A-Z]{2})?$")] = ""
    needs: list[str] = []
    define: dict[str, str] = {}
    rules: Annotated[list[RuleSource], Field(min_length=1)]


def parse(text: str) -> PackSource:
    """The pack written in `text`, its patterns regular expressions and every rule with cases.

    Raises:
        BadPack: every problem with its line.
    """
    source = _fitting(text)
    faults = [fault for number in range(len(source.rules)) for fault in _faults(source, number)]
    if faults:
        lines = Lines(text)
        raise BadPack(lines.problem(path, reason) for path, reason in faults)
    return source


def expanded(pattern: str, define: Mapping[str, str]) -> str:
    """`pattern` with the pack's definitions put in."""
    for name, value in define.items():
        pattern = pattern.replace(f"<{name}>", f"(?:{value})")
    return pattern


def _fitting(text: str) -> PackSource:
    try:
        return PackSource.model_validate(strict_yaml.parse_mapping(text))
    except ValidationError as error:
        lines = Lines(text)
        raise BadPack(
            lines.problem(item["loc"], f"{'.'.join(map(str, item['loc']))}: {item['msg']}")
            for item in error.errors()
        ) from error
    except strict_yaml.BadYaml as error:
        raise BadPack([Problem(error.line, error.reason)]) from error


def _faults(source: PackSource, number: int) -> Iterator[tuple[Place, str]]:
    """What is wrong with a rule that fits the model: where, and why."""
    rule, here = source.rules[number], ("rules", number)
    if Counter(other.id for other in source.rules)[rule.id] > 1:
        yield (*here, "id"), f"rules: the id {rule.id} is given twice"
    if not (rule.ignores or rule.formats):
        yield here, f"rule {rule.id}: ignores: give at least one text that it must leave alone"
    for key, patterns in (("patterns", rule.patterns), ("exceptions", rule.exceptions)):
        for place, pattern in enumerate(patterns):
            try:
                re.compile(expanded(pattern, source.define))
            except re.error as error:
                reason = f"rule {rule.id}: {key}: {pattern!r} is not a regular expression: {error}"
                yield (*here, key, place), reason
