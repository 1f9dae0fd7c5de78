"""Rule packs: YAML files that are tried on their own cases before they are used.

A pack is refused where one of its cases fails: a rule that does not do what it says never reaches a check.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from types import MappingProxyType

from ostiary_gateway.rules.index import Index
from ostiary_gateway.rules.normal import read
from ostiary_gateway.rules.problem import BadPack, Lines, Place, Problem
from ostiary_gateway.rules.rule import Rule, compiled
from ostiary_gateway.rules.source import RuleSource, parse
from ostiary_gateway.rules.territory import holds_in


@dataclass(frozen=True, eq=False)
class RulePack:
    """A rule pack, ready to match.

    Attributes:
        name: as policies name it: `diversion`.
        version: version of the pack.
        jurisdiction: ISO 3166-1 alpha-2 or `EU`; empty: everywhere.
        needs: detectors without which the pack cannot judge an image.
        rules: in the order written.
        digest: SHA-256 over the file, 32 bytes.
        code_rules: those of them that judge barcodes.
        index: finds those of them that may match a text.
        words: Latin words that its rules are about.
    """

    name: str
    version: str
    jurisdiction: str
    needs: frozenset[str]
    rules: tuple[Rule, ...]
    digest: bytes
    code_rules: tuple[Rule, ...]
    index: Index
    words: frozenset[str]

    @property
    def label(self) -> str:
        """Name and version: `diversion@1`."""
        return f"{self.name}@{self.version}"

    @cached_property
    def policies(self) -> frozenset[str]:
        """The policies that its rules speak for."""
        return frozenset(rule.policy for rule in self.rules)

    def holds_in(self, territory: str) -> bool:
        """Whether the pack is law in `territory`; see rules/territory.py."""
        return holds_in(self.jurisdiction, territory)


@dataclass(frozen=True)
class Case:
    """A text that a rule must match, or must leave alone, and whether it does; `path` leads to it."""

    rule: str
    text: str
    matches: bool
    passed: bool
    path: Place

    @property
    def failure(self) -> str:
        """What is wrong where it does not pass."""
        if self.matches:
            return f"rule {self.rule}: does not match its own case {self.text!r}"
        return f"rule {self.rule}: matches {self.text!r}, which it should ignore"


def load(text: str) -> RulePack:
    """The pack written in `text`.

    Raises:
        BadPack: every problem with its line: what is wrong, or which of a rule's own cases fails.
    """
    pack, cases = tried(text)
    failing = [case for case in cases if not case.passed]
    if failing:
        raise BadPack(failures(text, failing))
    return pack


def failures(text: str, cases: Iterable[Case]) -> list[Problem]:
    """The failing ones of a pack's `cases`, as problems of its `text`."""
    lines = Lines(text)
    return [lines.problem(case.path, case.failure) for case in cases if not case.passed]


def tried(text: str) -> tuple[RulePack, list[Case]]:
    """The pack written in `text`, and its own cases, whether they pass or not.

    Raises:
        BadPack: every problem with its line: it is no pack, or a rule has a bad pattern or no cases.
    """
    source = parse(text)
    rules = [compiled(rule, source.define) for rule in source.rules]
    pack = RulePack(
        name=source.name,
        version=source.version,
        jurisdiction=source.jurisdiction,
        needs=frozenset(source.needs),
        rules=tuple(rules),
        digest=hashlib.sha256(text.encode()).digest(),
        code_rules=tuple(rule for rule in rules if rule.formats),
        index=Index([rule for rule in rules if not rule.formats]),
        words=frozenset[str]().union(*(rule.words for rule in rules)),
    )
    return pack, list(_cases(pack, source.rules))


def shipped_texts() -> Mapping[str, str]:
    """The files of the packs in this package, by file name."""
    folder = files("ostiary_gateway") / "rules" / "packs"
    entries = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".yaml")), key=lambda entry: entry.name
    )
    return {entry.name: entry.read_text(encoding="utf-8") for entry in entries}


@cache
def shipped() -> Mapping[str, RulePack]:
    """The packs in this package, by name; read and tried once in a process."""
    return MappingProxyType({pack.name: pack for pack in map(load, shipped_texts().values())})


def _cases(pack: RulePack, written: Sequence[RuleSource]) -> Iterator[Case]:
    for number, (rule, source) in enumerate(zip(pack.rules, written, strict=True)):
        for key, wanted, texts in (("matches", True, source.matches), ("ignores", False, source.ignores)):
            for place, text in enumerate(texts):
                found = bool(rule.ranges(_reading(pack, rule, text)))
                yield Case(rule.id, text, wanted, found is wanted, ("rules", number, key, place))


def _reading(pack: RulePack, rule: Rule, case: str) -> str:
    return case.casefold() if rule.formats else read(case, pack.words).text
