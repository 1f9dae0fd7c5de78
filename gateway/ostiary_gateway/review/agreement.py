"""How far reviewers agree with one another, with known answers, and with bundles: Cohen's kappa. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ostiary.v1.audit_pb2 import RULING_OVERTURN, RULING_UPHOLD, Ruling
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, Verdict
from ostiary.v1.record_pb2 import NEXT_REVIEWER_NONE, EventRecord

Pair = tuple[str, str]
_ANSWERS = (RULING_UPHOLD, RULING_OVERTURN)


@dataclass(frozen=True)
class Reviewed:
    """A case and its rulings, the oldest first.

    Attributes:
        check_id: identifier of the check.
        verdict: the decision's.
        bundle: name and version of what looked; empty where nothing did.
        rulings: events of the kind `ruled`.
    """

    check_id: str
    verdict: Verdict.ValueType
    bundle: str
    rulings: Sequence[EventRecord]


@dataclass(frozen=True)
class Agreement:
    """How often two gave the same answer, and how far beyond chance: kappa is None where chance alone would.

    Attributes:
        pairs: how many answers were compared.
        same: share of those that are the same, 0 to 1.
        kappa: Cohen's, at most 1; 0 is chance.
    """

    pairs: int
    same: float
    kappa: float | None


def agreement(pairs: Iterable[Pair]) -> Agreement:
    """Cohen's kappa of two raters over the same things (Cohen 1960): (p_o - p_e) / (1 - p_e)."""
    counts = Counter(pairs)
    total = counts.total()
    if not total:
        return Agreement(0, 0.0, None)
    same = sum(count for (left, right), count in counts.items() if left == right)
    lefts, rights = Counter[str](), Counter[str]()
    for (left, right), count in counts.items():
        lefts[left] += count
        rights[right] += count
    # In whole numbers: whether chance explains everything is no matter of rounding.
    by_chance = sum(lefts[answer] * rights[answer] for answer in lefts)
    if by_chance == total * total:
        return Agreement(total, same / total, None)
    return Agreement(total, same / total, (same * total - by_chance) / (total * total - by_chance))


def by_reviewer(cases: Iterable[Reviewed], golden: Mapping[str, Ruling.ValueType]) -> dict[str, Agreement]:
    """Each reviewer against known answers, and against whoever ruled on the same case in the same round."""
    pairs = defaultdict[str, list[Pair]](list)
    for case in cases:
        known = golden.get(case.check_id)
        for round_ in _rounds(case.rulings):
            for reviewer, answer in round_.items():
                if known is not None:
                    pairs[reviewer].append((answer, Ruling.Name(known)))
                    continue
                pairs[reviewer] += [(answer, other) for who, other in round_.items() if who != reviewer]
    return {reviewer: agreement(found) for reviewer, found in sorted(pairs.items()) if found}


def by_bundle(cases: Iterable[Reviewed], golden: Mapping[str, Ruling.ValueType]) -> dict[str, Agreement]:
    """What each bundle's observations came to, against what people made of it in the end."""
    pairs = defaultdict[str, list[Pair]](list)
    for case in cases:
        allowed = _allowed(case, golden)
        if case.bundle and allowed is not None:
            machine = _word(case.verdict == VERDICT_ALLOW)
            pairs[case.bundle].append((machine, _word(allowed)))
    return {bundle: agreement(found) for bundle, found in sorted(pairs.items())}


def _rounds(rulings: Sequence[EventRecord]) -> Iterator[dict[str, str]]:
    """By reviewer, how each ruled between one settlement and the next, which is part of the former."""
    round_: dict[str, str] = {}
    for event in rulings:
        if event.ruling.ruling in _ANSWERS:
            round_[event.actor] = Ruling.Name(event.ruling.ruling)
        if event.ruling.next == NEXT_REVIEWER_NONE:
            yield round_
            round_ = {}
    if round_:
        yield round_


def _allowed(case: Reviewed, golden: Mapping[str, Ruling.ValueType]) -> bool | None:
    """Whether people allow it; None: they have not decided."""
    known = golden.get(case.check_id)
    if known is not None:
        return (case.verdict == VERDICT_ALLOW) == (known == RULING_UPHOLD)
    settled = [event.ruling for event in case.rulings if event.ruling.next == NEXT_REVIEWER_NONE]
    return settled[-1].verdict == VERDICT_ALLOW if settled else None


def _word(allowed: bool) -> str:
    return "allowed" if allowed else "flagged"
