"""What SQLite finds cases by: the grams of their texts, and traits that never change. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ostiary_gateway.review.cases import Search
from ostiary_gateway.store.grams import grams, grams_in
from ostiary_gateway.store.postings import BLOCK

# Of long words, so many grams are looked for: what has them all is looked at in full.
_MOST_GRAMS = 16
_SCORES = 20  # steps between 0 and 1


class Indexed(NamedTuple):
    """Of a case, what its terms are made from, and the index of its entry."""

    log_index: int
    tenant: str
    policy: str
    bundle_digest: bytes
    score: float
    text: str

    @property
    def position(self) -> int:
        """In its block."""
        return self.log_index % BLOCK


def terms_of(case: Indexed) -> set[str]:
    """All the terms that a case is found by."""
    terms = set(_traits(case))
    for word in set(case.text.split()):
        terms.update(grams_in(word))
    return terms


def by_term(cases: Iterable[Indexed]) -> dict[str, set[int]]:
    """The positions of the cases of a block, by their terms."""
    # Listings share words: the grams of each are made once.
    words: dict[str, list[int]] = {}
    found: dict[str, set[int]] = {}
    for case in cases:
        for word in set(case.text.split()):
            words.setdefault(word, []).append(case.position)
        for term in _traits(case):
            found.setdefault(term, set()).add(case.position)
    for word, positions in words.items():
        for gram in grams_in(word):
            found.setdefault(gram, set()).update(positions)
    return found


def wanted(search: Search) -> list[list[str]]:
    """Of each list, a case that fits has one term at least; empty where no term narrows the search."""
    parts = (part for word in search.words for part in word.split())
    lists = [[gram] for gram in _few(dict.fromkeys(gram for part in parts for gram in grams(part)))]
    if search.policies:
        lists.append([_policy(policy) for policy in search.policies])
    if search.bundle_digests:
        lists.append([_bundle(digest) for digest in search.bundle_digests])
    if search.min_score > 0:
        lists.append([_scored(step) for step in range(_step(search.min_score), _SCORES + 1)])
    return [[_tenant(search.tenant)], *lists] if lists else []


def _traits(case: Indexed) -> list[str]:
    """No gram has a NUL, nor has a text."""
    traits = [_tenant(case.tenant), _policy(case.policy), _bundle(case.bundle_digest)]
    return [*traits, _scored(_step(case.score))] if case.score > 0 else traits


def _few(found: dict[str, None]) -> Sequence[str]:
    """Some of them, from all over."""
    every = -(-len(found) // _MOST_GRAMS) or 1
    return list(found)[::every]


def _tenant(tenant: str) -> str:
    return f"t\0{tenant}"


def _policy(policy: str) -> str:
    return f"p\0{policy}"


def _bundle(digest: bytes) -> str:
    return f"b\0{digest.hex()}"


def _scored(step: int) -> str:
    return f"s\0{step}"


def _step(score: float) -> int:
    """The greater the score, the greater; from 0 to `_SCORES`."""
    return min(int(score * _SCORES), _SCORES)
