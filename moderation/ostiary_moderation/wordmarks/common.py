"""Words that say nothing about a brand by themselves, though some are registered: GAP, NEXT, ONLY."""

from functools import cache, lru_cache
from importlib.resources import files

from ostiary.text.letters import fold

_ENDINGS = ("s", "es", "ed", "ing", "er", "ers", "ly", "est")
_LEAST_STEM = 3


@lru_cache(maxsize=65_536)
def is_common(word: str) -> bool:
    """Whether a folded word, or what it is an inflection of, is in the vocabulary; numbers always are."""
    known = _vocabulary()
    return word in known or word.isdecimal() or any(stem in known for stem in _stems(word))


def _stems(word: str) -> list[str]:
    stems = []
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < _LEAST_STEM:
            continue
        stems += [stem, stem + "e", stem + "y"] if ending != "s" else [stem]
        if len(stem) > _LEAST_STEM and stem[-1] == stem[-2]:
            stems.append(stem[:-1])
        if stem.endswith("i"):
            stems.append(stem[:-1] + "y")
    return stems


@cache
def _vocabulary() -> frozenset[str]:
    text = files(__package__).joinpath("common.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset("".join(map(fold, word)) for line in lines for word in line.split())
