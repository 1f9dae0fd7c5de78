"""The decision.

The verdict is the gravest that anything asks for: BLOCK over HOLD over REVIEW over ALLOW. A BLOCK stands even
where another part of the check could not be judged: what was seen is enough. ALLOW is only what is left when
every policy was judged on every image and no finding asks for more; a failure turns into it only where the
policy's author has said that a cheap tier without the vision model may allow, and is then marked as such.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ostiary.v1.config_pb2 import Fallback, PolicyRule
from ostiary.v1.decision_pb2 import Action, Finding, HoldReason, PolicyResult, Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Observations, PolicyState
from ostiary_gateway.policy import brand_marks, contradiction, coverage, fallback, known_images
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.policy.sighting import from_rules, from_scores
from ostiary_gateway.policy.steps import Circumstances, finding

UNUSABLE = "the pod's answer cannot be used"
"""Begins the words for observations that were not believed."""
GRAVITY = (Verdict.VERDICT_ALLOW, Verdict.VERDICT_REVIEW, Verdict.VERDICT_HOLD, Verdict.VERDICT_BLOCK)
ASKED_BY = {Action.ACTION_REVIEW: Verdict.VERDICT_REVIEW, Action.ACTION_BLOCK: Verdict.VERDICT_BLOCK}
"""Verdicts by the actions that ask for one; a note asks for none."""


@dataclass(frozen=True)
class Subject:
    """What is decided on.

    Attributes:
        listing: the listing's texts.
        image_count: images of the request, 1 to 8.
        observations: what the pod saw; None where no pod answered.
        at: aware time of the decision, by which entries of hash lists expire.
        flags: whether the caller wants the policies judged.
        failure_verdict: what the route says where no pod answered; unspecified where it says nothing, and
            anything else but REVIEW, HOLD and BLOCK counts as HOLD.
        failure: why no pod answered, in words.
        tenant: whose listing it is, by which entries of hash lists hold.
    """

    listing: Listing
    image_count: int
    observations: Observations | None
    at: datetime
    flags: bool = True
    failure_verdict: Verdict.ValueType = Verdict.VERDICT_UNSPECIFIED
    failure: str = ""
    tenant: str = ""


@dataclass(frozen=True)
class Decision:
    """What was decided: findings the gravest first, one result per policy that was to be judged."""

    verdict: Verdict.ValueType
    findings: tuple[Finding, ...] = ()
    policies: tuple[PolicyResult, ...] = ()
    hold_reasons: tuple[HoldReason, ...] = ()

    @property
    def cheap_tier(self) -> bool:
        """Whether a policy was judged without the vision model."""
        return any(result.state == PolicyState.POLICY_STATE_CHEAP_TIER for result in self.policies)


@dataclass(frozen=True)
class _Fared:
    """How a policy fared, what stands in where it was not judged, and the verdict that this asks for."""

    result: PolicyResult
    state: PolicyState.ValueType
    asks: Verdict.ValueType


def decide(subject: Subject, policy: PolicyInForce) -> Decision:
    """The decision on `subject` under `policy`; any observations whatever give one."""
    subject = _without_unsound(subject)
    if not subject.flags:
        return _not_judged(subject)
    findings = _findings(subject, policy)
    fared = [_fared(rule, policy, subject) for rule in policy.message.policies]
    check_holds = _check_holds(subject)
    if subject.observations is not None:
        check_holds += known_images.holds(policy.lists, subject.observations)
    holds = (*check_holds, *_policy_holds(fared, policy, subject, explained=bool(check_holds)))
    asked = [ASKED_BY[found.action] for found in findings if found.action in ASKED_BY]
    asked += [each.asks for each in fared]
    if subject.observations is not None and check_holds:
        asked.append(Verdict.VERDICT_HOLD)
    return Decision(gravest(asked), findings, tuple(each.result for each in fared), holds)


def gravest(verdicts: Sequence[Verdict.ValueType]) -> Verdict.ValueType:
    """The gravest of `verdicts`; ALLOW where there are none."""
    return max(verdicts, key=GRAVITY.index, default=Verdict.VERDICT_ALLOW)


def _without_unsound(subject: Subject) -> Subject:
    seen = subject.observations
    why = coverage.unsound(seen, subject.image_count) if seen else None
    if why is None:
        return subject
    return replace(subject, observations=None, failure=f"{UNUSABLE}: {why}")


def _not_judged(subject: Subject) -> Decision:
    not_wanted = HoldReason(
        code="not_wanted",
        image_index=coverage.WHOLE_CHECK,
        detail="No policy was judged, because flags were not wanted: ask for them before publishing.",
    )
    return Decision(Verdict.VERDICT_HOLD, hold_reasons=(*_check_holds(subject), not_wanted))


def _findings(subject: Subject, policy: PolicyInForce) -> tuple[Finding, ...]:
    seen = subject.observations
    territory = subject.listing.territory or policy.message.default_territory
    sightings = from_rules(policy.packs, subject.listing, seen, territory)
    sightings += from_scores(seen.scores) if seen else []
    sightings += contradiction.from_claims(subject.listing, seen, policy.words) if seen else []
    if seen is not None and not brand_marks.unmatched_gallery(policy.brands, seen):
        sightings += contradiction.from_brands(subject.listing, seen, policy.brands)
    sightings += brand_marks.sightings(policy.brands, subject.listing, seen, territory, subject.at)
    judged = [(rule, sighting) for sighting in sightings if (rule := policy.rule(sighting.policy))]
    circumstances = _circumstances(subject, policy)
    found = [made for rule, sighting in judged if (made := finding(sighting, rule, circumstances))]
    if seen is not None:
        asked = (policy.lists, seen, subject.listing.seller, subject.at, subject.tenant)
        known, allowed = known_images.findings(*asked), known_images.allowances(*asked)
        found = [known_images.lifted(each, policy, allowed) for each in (*found, *known)]
    return tuple(sorted(found, key=_order))


def _circumstances(subject: Subject, policy: PolicyInForce) -> Circumstances:
    seen, categories = subject.observations, policy.words.categories_of(subject.listing)
    if seen is None:
        return Circumstances(categories=categories)
    return Circumstances(seen.calibration, categories, seen.attributes)


def _order(found: Finding) -> tuple[int, float, str, str, str, int]:
    image = known_images.image_of(found)
    return -found.action, -found.score, found.policy, found.label, found.source, image


def _fared(rule: PolicyRule, policy: PolicyInForce, subject: Subject) -> _Fared:
    seen = subject.observations
    state = PolicyState.POLICY_STATE_UNAVAILABLE
    if seen is not None and not known_images.unanswered(rule.policy, policy.lists, seen):
        state = coverage.state(rule, policy, seen, subject.image_count)
    stands_in = fallback.stand_in(rule, state, policy.message)
    result = PolicyResult(policy=rule.policy, state=state, optional=rule.optional)
    if stands_in is None:
        return _Fared(result, state, Verdict.VERDICT_ALLOW)
    if stands_in == Fallback.FALLBACK_CHEAP_TIER:
        result.state = PolicyState.POLICY_STATE_CHEAP_TIER
    if seen is None:
        return _Fared(result, state, _not_looked_at(rule, policy, subject))
    all_but_model = coverage.without_model(rule.policy, policy, seen, subject.image_count)
    may_allow = policy.message.failure.allow_without_model and all_but_model
    return _Fared(result, state, fallback.asks(stands_in, may_allow=may_allow))


def _not_looked_at(rule: PolicyRule, policy: PolicyInForce, subject: Subject) -> Verdict.ValueType:
    """What is asked for where no pod looked: by policy and route, the graver; HOLD where both are silent."""
    told = subject.failure_verdict
    said = fallback.on_unavailable(rule, policy.message)
    asked = [fallback.asks(said)] if said else []
    if told != Verdict.VERDICT_UNSPECIFIED:
        asked.append(told if told in GRAVITY[1:] else Verdict.VERDICT_HOLD)
    return gravest(asked) if asked else Verdict.VERDICT_HOLD


def _check_holds(subject: Subject) -> list[HoldReason]:
    if subject.observations is not None:
        return coverage.image_holds(subject.observations, subject.image_count)
    why = subject.failure or "no pod answered"
    detail = f"The images could not be looked at: {why}. Check again later, under a new idempotency key."
    return [HoldReason(code="unavailable", image_index=coverage.WHOLE_CHECK, detail=detail)]


def _policy_holds(
    fared: Sequence[_Fared], policy: PolicyInForce, subject: Subject, *, explained: bool
) -> list[HoldReason]:
    """One reason per policy that asks for more than ALLOW, unless the images' own reasons `explained` it."""
    seen = subject.observations
    if seen is None:
        return []
    holds = []
    for each in fared:
        name = each.result.policy
        if each.asks == Verdict.VERDICT_ALLOW:
            continue
        if each.state == PolicyState.POLICY_STATE_UNSUPPORTED:
            why = coverage.unsupported(name, policy, seen)
            holds.append(_hold("unsupported", f"{why}, or mark {name} optional in the policy."))
        elif (failed := coverage.failures(name, policy, seen)) or not explained:
            why = "; ".join(failed) or "the pod does not say what looked"
            holds.append(_hold("unavailable", f"{name} could not be judged: {why}."))
    return holds


def _hold(code: str, detail: str) -> HoldReason:
    return HoldReason(code=code, image_index=coverage.WHOLE_CHECK, detail=detail)
