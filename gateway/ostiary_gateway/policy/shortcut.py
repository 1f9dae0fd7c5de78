"""Decides a recorded check again without looking at its texts anew, where that cannot matter.

What was decided under one policy tells what rules, lists and registries saw. Under another policy with the
same packs, lists, registries and words they see the same: what is left is to take the steps of the policies
that differ. Wherever anything else could play a part, there is no shortcut, and the check has to be decided
in full. The verdict is always the one of `decide`. Pure.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from ostiary.v1.config_pb2 import ActionStep, PolicyRule
from ostiary.v1.decision_pb2 import Action, Finding, Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import CalibrationPoint, Observations, PolicyState
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary_gateway.policy import contradiction
from ostiary_gateway.policy.in_force import PolicyInForce

_MODEL = "vlm"
_JUDGED, _UNSUPPORTED = PolicyState.POLICY_STATE_JUDGED, PolicyState.POLICY_STATE_UNSUPPORTED
_NOTE, _BLOCK = int(Action.ACTION_NOTE), int(Action.ACTION_BLOCK)
_CATEGORIES_KEPT, _TABLES_KEPT = 4096, 256

Asked = tuple[str, int]
"""`policy/label` of a finding that asks for REVIEW or BLOCK, and which."""


class _Digested(Protocol):
    @property
    def digest(self) -> bytes: ...


_Question = tuple[str, str, str]
_Asking = tuple[str, str, str, str]
"""Policy, label, source and question."""


class Redecided(NamedTuple):
    """A verdict, and what asks for it."""

    verdict: Verdict.ValueType
    asked: frozenset[Asked]


_ALLOWED = Redecided(Verdict.VERDICT_ALLOW, frozenset())


@dataclass(frozen=True)
class _Step:
    """A step of a label, as plain values."""

    action: int
    threshold: float
    precision: float
    sources: frozenset[str]
    categories: frozenset[str]
    except_categories: frozenset[str]
    except_seen: tuple[tuple[str, str, float], ...]

    @classmethod
    def of(cls, step: ActionStep) -> "_Step":
        return cls(
            action=step.action,
            threshold=step.threshold,
            precision=step.target_precision,
            sources=frozenset(step.sources),
            categories=frozenset(step.categories),
            except_categories=frozenset(step.except_categories),
            except_seen=tuple((seen.name, seen.value, seen.confidence) for seen in step.except_seen),
        )


@dataclass(frozen=True)
class _Changed:
    """A policy that the two have otherwise: its steps by label, from the gravest action."""

    steps: Mapping[str, tuple[_Step, ...]]
    by_table: bool

    @classmethod
    def of(cls, rule: PolicyRule) -> "_Changed":
        steps = {
            label.label: tuple(sorted(map(_Step.of, label.steps), key=lambda step: -step.action))
            for label in rule.labels
        }
        return cls(steps, any(step.precision for each in steps.values() for step in each))


class _Table:
    """The calibration of a bundle, asked for the same few thresholds again and again."""

    def __init__(self, rows: Sequence[CalibrationPoint]) -> None:
        self._rows = list(rows)
        self.floors: dict[_Asking, float] = {}
        """By who asks what: the score below which no step of a policy that changed is reached."""
        self._thresholds: dict[tuple[_Question, float], float] = {}

    def threshold(self, asking: _Question, precision: float) -> float:
        """The lowest that reaches the precision; infinite where none does."""
        found = self._thresholds.get((asking, precision))
        if found is None:
            reaching = [
                row.threshold
                for row in self._rows
                if (row.policy, row.label, row.question) == asking and row.precision >= precision
            ]
            found = self._thresholds[asking, precision] = min(reaching, default=math.inf)
        return found


class Shortcut:
    """From decisions under one policy to decisions under another."""

    def __init__(self, before: PolicyInForce, after: PolicyInForce) -> None:
        """`before` is the policy that the checks were decided under, `after` the one to decide them by."""
        self._before = before
        self._galleries = before.brands.believed
        self._brands = bool(before.brands.by_name)
        self._allowing = bool(after.lists.allowing)
        old = {rule.policy: rule for rule in before.message.policies}
        new = {rule.policy: rule for rule in after.message.policies}
        self._changed = {
            name: _Changed.of(rule) for name, rule in new.items() if name in old and rule != old[name]
        }
        self._gone = frozenset(old.keys() - new.keys())
        self._optional = frozenset(name for name, rule in new.items() if rule.optional)
        self._by_table = any(changed.by_table for changed in self._changed.values())
        self.possible = new.keys() <= old.keys() and _sees_the_same(before, after)
        """Whether there is one for any check at all."""
        self._tables: dict[tuple[bytes, int], _Table] = {}
        self._no_table = _Table(())
        words = after.words
        self._categories = lru_cache(_CATEGORIES_KEPT)(
            lambda category: words.categories_of(Listing(category=category))
        )

    def redecide(self, record: DecisionRecord) -> Redecided | None:
        """The decision on a check that `before` decided; None: it has to be decided in full."""
        response = record.response
        if not self.possible or not self._applies(record):
            return None
        asked: set[Asked] = set()
        for found in response.findings:
            if found.policy not in self._changed:
                if found.action > _NOTE and (found.policy not in self._gone or _listed(found)):
                    asked.add((f"{found.policy}/{found.label}", found.action))
            elif found.evidence.HasField("allowed_by"):
                return None
        if self._changed and not self._retake(record, asked):
            return None
        return Redecided(_verdict(asked), frozenset(asked)) if asked else _ALLOWED

    def _applies(self, record: DecisionRecord) -> bool:
        """Whether everything was judged: then nothing stands in for anything, by either policy."""
        response = record.response
        if response.hold_reasons or not record.HasField("observations"):
            return False
        if response.receipt.policy_sha256 != self._before.sha256:
            return False
        for result in response.policies:
            state = result.state
            if state == _JUDGED or result.policy in self._gone:
                continue
            if state != _UNSUPPORTED or result.policy not in self._optional or not result.optional:
                return False
        # A replay takes marks as of the gallery that the pod had; the decision may have waited for another.
        return not self._brands or record.observations.gallery_digest in self._galleries

    def _retake(self, record: DecisionRecord, asked: set[Asked]) -> bool:
        """Take the steps of the policies that changed; False: there is more to it than steps."""
        seen = record.observations
        if contradiction.POLICY in self._changed and (seen.attributes or seen.brands):
            return False  # claims that no step was reached for are not on record
        table = self._table(seen) if self._by_table else self._no_table
        floors = table.floors
        for asking, score in _sightings(record.response, seen):
            floor = floors.get(asking)
            if floor is None:
                floor = floors[asking] = self._floor(asking, table)
            if score >= floor and (action := self._action(asking, score, table, record)) > _NOTE:
                if self._allowing:
                    return False
                asked.add((f"{asking[0]}/{asking[1]}", action))
        for found in record.response.findings:
            if found.policy in self._changed and found.action > _NOTE and _listed(found):
                asked.add((f"{found.policy}/{found.label}", found.action))
        return True

    def _table(self, seen: Observations) -> _Table:
        """The table of the bundle that looked.

        Its digest covers the table, which comes whole or, of a look without the model, not at all.
        """
        rows = seen.calibration
        key = seen.bundle.digest, len(rows)
        found = self._tables.get(key)
        if found is None or not key[0]:
            if len(self._tables) >= _TABLES_KEPT:
                self._tables.clear()
            found = self._tables[key] = _Table(rows)
        return found

    def _steps(self, asking: _Asking, table: _Table) -> Iterator[tuple[_Step, float]]:
        """Steps that a policy which changed takes on what was asked, each with the score that it wants."""
        policy, label, source, question = asking
        changed = self._changed.get(policy)
        for step in changed.steps.get(label, ()) if changed else ():
            if step.sources and source not in step.sources:
                continue
            if step.precision:
                yield step, table.threshold((policy, label, question), step.precision)
            else:
                yield step, step.threshold

    def _floor(self, asking: _Asking, table: _Table) -> float:
        wanted = (least for _, least in self._steps(asking, table))
        # No score reaches what is not a number.
        return min((least for least in wanted if not math.isnan(least)), default=math.inf)

    def _action(self, asking: _Asking, score: float, table: _Table, record: DecisionRecord) -> int:
        """The gravest action that is reached; 0: none is."""
        reached = (step for step, least in self._steps(asking, table) if score >= least)
        return next((step.action for step in reached if self._meant(step, record)), 0)

    def _meant(self, step: _Step, record: DecisionRecord) -> bool:
        """Whether the step is for such a listing and for a product that looks like this."""
        if step.categories or step.except_categories:
            claimed = self._categories(record.listing.category)
            if step.categories and claimed.isdisjoint(step.categories):
                return False
            if not claimed.isdisjoint(step.except_categories):
                return False
        return not any(
            attribute.name == name and attribute.value == value and attribute.confidence >= confidence
            for name, value, confidence in step.except_seen
            for attribute in record.observations.attributes
        )


def _sees_the_same(before: PolicyInForce, after: PolicyInForce) -> bool:
    """Whether both have the same packs, lists, registries and words: they see the same of any check."""
    one, other = before.message, after.message
    return (
        [pack.digest for pack in before.packs] == [pack.digest for pack in after.packs]
        and one.default_territory == other.default_territory
        and one.vocabulary == other.vocabulary
        and _digests(before.lists.by_name) == _digests(after.lists.by_name)
        and _digests(before.brands.by_name) == _digests(after.brands.by_name)
    )


def _digests(by_name: Mapping[str, "_Digested"]) -> dict[str, bytes]:
    return {name: one.digest for name, one in by_name.items()}


def _listed(found: Finding) -> bool:
    """Whether a list of known images asks for it, whatever the policy says."""
    return found.evidence.HasField("known_image")


def _sightings(response: CheckResponse, seen: Observations) -> Iterator[tuple[_Asking, float]]:
    """All that speaks for policies, and its score.

    What rules and registries saw is on record, reached or not; what the model answered was kept as seen.
    """
    for found in response.findings:
        evidence = found.evidence
        if not (evidence.HasField("score") or evidence.HasField("contradiction") or _listed(found)):
            yield (found.policy, found.label, found.source, ""), found.score
    for score in seen.scores:
        asking = score.policy, score.label, score.source or _MODEL, score.question
        yield asking, score.probability


def _verdict(asked: Iterable[Asked]) -> Verdict.ValueType:
    """What findings ask for, where nothing holds the check."""
    gravest = max(action for _, action in asked)
    if gravest == _BLOCK:
        return Verdict.VERDICT_BLOCK
    return Verdict.VERDICT_REVIEW if gravest > _NOTE else Verdict.VERDICT_ALLOW
