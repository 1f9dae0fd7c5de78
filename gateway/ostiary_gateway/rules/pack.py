"""Rule packs as they are written, and as they are used.

A pack is one YAML file. It carries its own positive and negative cases, and is refused where one of them
fails: a rule that does not do what it says never reaches a check.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ostiary_gateway import strict_yaml
from ostiary_gateway.rules.cover import Cover
from ostiary_gateway.rules.normal import read

TextField = Literal["image", "title", "description", "barcode"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
_MODEL = ConfigDict(extra="forbid", frozen=True, strict=True)


class RuleSource(BaseModel):
    """One rule, as written.

    `patterns` and `exceptions` are Python regular expressions over the reading of a text (rules/normal.py),
    in which `<name>` stands for an entry of the pack's `define`; an exception that touches a match takes it
    away. `matches` and `ignores` are texts that the rule must and must not match.
    """

    model_config = _MODEL

    id: Name
    policy: Name
    label: Name
    score: Annotated[float, Field(gt=0, le=1)] = 1.0
    fields: Annotated[list[TextField], Field(min_length=1)] = ["image", "title", "description"]
    formats: list[str] = []
    article: str = ""
    patterns: Annotated[list[str], Field(min_length=1)]
    exceptions: list[str] = []
    seller_reason: Annotated[str, Field(min_length=1)]
    matches: Annotated[list[str], Field(min_length=1)]
    ignores: list[str] = []


class PackSource(BaseModel):
    """A rule pack, as written."""

    model_config = _MODEL

    name: Name
    version: Annotated[str, Field(min_length=1)]
    jurisdiction: Annotated[str, Field(pattern=r"^([A-Z]{2})?$")] = ""
    needs: list[str] = []
    define: dict[str, str] = {}
    rules: Annotated[list[RuleSource], Field(min_length=1)]


@dataclass(frozen=True)
class Rule:
    """One rule, ready to match.

    Attributes:
        id: unique in its pack: `contact.wechat`.
        policy: policy that a match speaks for.
        label: label within the policy.
        score: 0 to 1; 1 where a match leaves no doubt.
        fields: where it looks: `image`, `title`, `description`, `barcode`.
        formats: symbologies that it judges, case-folded; for `barcode` alone.
        article: statute and article; empty for house rules.
        pattern: what it looks for.
        exception: what takes a match away, if anything.
        seller_reason: what the seller should change.
    """

    id: str
    policy: str
    label: str
    score: float
    fields: frozenset[str]
    formats: frozenset[str]
    article: str
    pattern: re.Pattern[str]
    exception: re.Pattern[str] | None
    seller_reason: str

    def ranges(self, text: str) -> list[tuple[int, int]]:
        """Where the rule matches in a reading: ranges that no exception touches."""
        found = [match.span() for match in self.pattern.finditer(text) if match.end() > match.start()]
        if not found or not self.exception:
            return found
        excepted = Cover(len(text), (match.span() for match in self.exception.finditer(text)))
        return excepted.without(found)


@dataclass(frozen=True)
class RulePack:
    """A rule pack, ready to match.

    Attributes:
        name: as policies name it: `diversion`.
        version: version of the pack.
        jurisdiction: ISO 3166-1 alpha-2 or `EU`; empty: everywhere.
        needs: detectors without which the pack cannot judge an image.
        rules: in the order written.
        digest: SHA-256 over the file, 32 bytes.
    """

    name: str
    version: str
    jurisdiction: str
    needs: frozenset[str]
    rules: tuple[Rule, ...]
    digest: bytes

    @property
    def label(self) -> str:
        """Name and version: `diversion@1`."""
        return f"{self.name}@{self.version}"

    @property
    def policies(self) -> frozenset[str]:
        """The policies that its rules speak for."""
        return frozenset(rule.policy for rule in self.rules)


def load(text: str) -> RulePack:
    """The pack written in `text`.

    Raises:
        ValueError: in words: what is wrong where, or which of a rule's own cases fails.
    """
    source = strict_yaml.parse_model(text, PackSource)
    rules = tuple(_compile(rule, source.define) for rule in source.rules)
    duplicates = {rule.id for rule in rules if [other.id for other in rules].count(rule.id) > 1}
    if duplicates:
        raise ValueError(f"rules: the id {sorted(duplicates)[0]} is given twice")
    for rule, written in zip(rules, source.rules, strict=True):
        _check_cases(rule, written)
    digest = hashlib.sha256(text.encode()).digest()
    return RulePack(source.name, source.version, source.jurisdiction, frozenset(source.needs), rules, digest)


def shipped() -> Mapping[str, RulePack]:
    """The packs in this package, by name."""
    folder = files("ostiary_gateway") / "rules" / "packs"
    texts = [entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {pack.name: pack for pack in map(load, texts)}


def _compile(rule: RuleSource, define: Mapping[str, str]) -> Rule:
    return Rule(
        id=rule.id,
        policy=rule.policy,
        label=rule.label,
        score=rule.score,
        fields=frozenset(rule.fields),
        formats=frozenset(name.casefold() for name in rule.formats),
        article=rule.article,
        pattern=_one_of(rule.id, rule.patterns, define),
        exception=_one_of(rule.id, rule.exceptions, define) if rule.exceptions else None,
        seller_reason=rule.seller_reason,
    )


def _one_of(rule: str, patterns: list[str], define: Mapping[str, str]) -> re.Pattern[str]:
    expanded = []
    for pattern in patterns:
        for name, value in define.items():
            pattern = pattern.replace(f"<{name}>", f"(?:{value})")
        expanded.append(f"(?:{pattern})")
    try:
        return re.compile("|".join(expanded))
    except re.error as error:
        raise ValueError(f"rule {rule}: a pattern is not a regular expression: {error}") from error


def _check_cases(rule: Rule, written: RuleSource) -> None:
    if not (written.ignores or rule.formats):
        raise ValueError(f"rule {rule.id}: ignores: give at least one text that it must leave alone")
    for case in written.matches:
        if not rule.ranges(_reading(rule, case)):
            raise ValueError(f"rule {rule.id}: does not match its own case {case!r}")
    for case in written.ignores:
        if rule.ranges(_reading(rule, case)):
            raise ValueError(f"rule {rule.id}: matches {case!r}, which it should ignore")


def _reading(rule: Rule, case: str) -> str:
    return case.casefold() if rule.formats else read(case).text
