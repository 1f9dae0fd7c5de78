"""One rule, ready to match."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ostiary_gateway.rules.cover import Cover
from ostiary_gateway.rules.literals import needed_literals
from ostiary_gateway.rules.source import RuleSource, Severity, expanded, severity_of

# A word, and whether its last letter may be missing.
_WORD = re.compile(r"(?<![\\a-z])([a-z]{3,})(\??)")


@dataclass(frozen=True)
class Rule:
    """One rule.

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
        literals: strings of which every text that the pattern matches holds one; None where none can be told.
        words: Latin words that the pattern is about.
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
    literals: frozenset[str] | None
    words: frozenset[str]
    seller_reason: str

    @property
    def severity(self) -> Severity:
        """The word for its score."""
        return severity_of(self.score)

    def ranges(self, text: str) -> list[tuple[int, int]]:
        """Where the rule matches in a reading: ranges that no exception touches."""
        found = [match.span() for match in self.pattern.finditer(text) if match.end() > match.start()]
        if not found or not self.exception:
            return found
        excepted = Cover(len(text), (match.span() for match in self.exception.finditer(text)))
        return excepted.without(found)


def compiled(written: RuleSource, define: Mapping[str, str]) -> Rule:
    """The rule that is written.

    Raises:
        re.error: a pattern is not a regular expression.
    """
    pattern = _one_of(written.patterns, define)
    literals = needed_literals(pattern)
    spelled = [pattern, *(literals or ())]
    return Rule(
        id=written.id,
        policy=written.policy,
        label=written.label,
        score=written.weight,
        fields=frozenset(written.fields),
        formats=frozenset(name.casefold() for name in written.formats),
        article=written.article,
        pattern=re.compile(pattern),
        exception=re.compile(_one_of(written.exceptions, define)) if written.exceptions else None,
        literals=literals,
        words=frozenset(word for text in spelled for word in _words(text)),
        seller_reason=written.seller_reason,
    )


def _words(pattern: str) -> Iterator[str]:
    for word, optional in _WORD.findall(pattern):
        yield word
        if optional:
            yield word[:-1]


def _one_of(patterns: Sequence[str], define: Mapping[str, str]) -> str:
    return "|".join(f"(?:{expanded(pattern, define)})" for pattern in patterns)
