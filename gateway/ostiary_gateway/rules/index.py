"""Finds the few rules that may match a text among thousands, in one pass over it."""

from collections import defaultdict
from collections.abc import Sequence

from ahocorasick_rs import AhoCorasick

from ostiary_gateway.rules.rule import Rule


class Index:
    """An Aho-Corasick automaton over the literals that the rules need."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._always = frozenset(number for number, rule in enumerate(rules) if rule.literals is None)
        owners: defaultdict[str, list[int]] = defaultdict(list)
        for number, rule in enumerate(rules):
            for literal in rule.literals or ():
                owners[literal].append(number)
        self._owners = tuple(owners.values())
        self._automaton = AhoCorasick(owners)

    def candidates(self, text: str) -> list[Rule]:
        """The rules that a pattern may match `text` of, in their order; all others certainly do not."""
        hits = {hit for hit, _, _ in self._automaton.find_matches_as_indexes(text, overlapping=True)}
        numbers = self._always.union(*(self._owners[hit] for hit in hits))
        return [self._rules[number] for number in sorted(numbers)]
