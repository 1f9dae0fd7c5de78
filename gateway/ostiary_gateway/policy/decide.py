"""The decision.

The verdict is the gravest that anything asks for: BLOCK over HOLD over REVIEW over ALLOW. A BLOCK stands even
where another part of the check could not be judged: what was seen is enough. ALLOW is only what is left when
every policy was judged on every image and no finding asks for more; a failure never turns into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ostiary.v1.config_pb2 import PolicyRule
from ostiary.v1.decision_pb2 import Action, Finding, HoldReason, PolicyResult, Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Observations, PolicyState
from ostiary_gateway.policy import brand_marks, contradiction, coverage, known_images
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.policy.sighting import from_rules, from_scores
from ostiary_gateway.policy.steps import Circumstances, finding

GRAVITY = (Verdict.VERDICT_ALLOW, Verdict.VERDICT_REVIEW, Verdict.VERDICT_HOLD, Verdict.VERDICT_BLOCK)
_ASKED_BY = {Action.ACTION_REVIEW: Verdict.VERDICT_REVIEW, Action.ACTION_BLOCK: Verdict.VERDICT_BLOCK}
_HOLDS = {PolicyState.POLICY_STATE_UNREADABLE, PolicyState.POLICY_STATE_UNAVAILABLE}


@dataclass(frozen=True)
class Subject:
    """What is decided on.

    Attributes:
        listing: the listing's texts.
        image_count: images of the request, 1 to 8.
        observations: what the pod saw; None where no pod answered.
        at: aware time of the decision, by which entries of hash lists expire.
        flags: whether the caller wants the policies judged.
        failure_verdict: verdict where no pod answered; anything but REVIEW, HOLD and BLOCK counts as HOLD.
        failure: why no pod answered, in words.
    """

    listing: Listing
    image_count: int
    observations: Observations | None
    at: datetime
    flags: bool = True
    failure_verdict: Verdict.ValueType = Verdict.VERDICT_HOLD
    failure: str = ""


@dataclass(frozen=True)
class Decision:
    """What was decided: findings the gravest first, one result per policy that was to be judged."""

    verdict: Verdict.ValueType
    findings: tuple[Finding, ...] = ()
    policies: tuple[PolicyResult, ...] = ()
    hold_reasons: tuple[HoldReason, ...] = ()


def decide(subject: Subject, policy: PolicyInForce) -> Decision:
    """The decision on `subject` under `policy`; any observations whatever give one."""
    subject = _without_unsound(subject)
    if not subject.flags:
        return _not_judged(subject)
    findings = _findings(subject, policy)
    results = tuple(_result(rule, policy, subject) for rule in policy.message.policies)
    check_holds = _check_holds(subject)
    if subject.observations is not None:
        check_holds += known_images.holds(policy.lists, subject.observations)
    holds = (*check_holds, *_policy_holds(results, policy, subject, explained=bool(check_holds)))
    return Decision(_verdict(findings, holds, subject), findings, results, holds)


def gravest(verdicts: Sequence[Verdict.ValueType]) -> Verdict.ValueType:
    """The gravest of `verdicts`; ALLOW where there are none."""
    return max(verdicts, key=GRAVITY.index, default=Verdict.VERDICT_ALLOW)


def _without_unsound(subject: Subject) -> Subject:
    seen = subject.observations
    why = coverage.unsound(seen, subject.image_count) if seen else None
    if why is None:
        return subject
    return replace(subject, observations=None, failure=f"the pod's answer cannot be used: {why}")


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
        known = known_images.findings(policy.lists, seen, subject.listing.seller, subject.at)
        allowed = known_images.allowances(policy.lists, seen, subject.listing.seller, subject.at)
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


def _result(rule: PolicyRule, policy: PolicyInForce, subject: Subject) -> PolicyResult:
    seen = subject.observations
    state = PolicyState.POLICY_STATE_UNAVAILABLE
    if seen is not None and not known_images.unanswered(rule.policy, policy.lists, seen):
        state = coverage.state(rule, policy, seen, subject.image_count)
    return PolicyResult(policy=rule.policy, state=state, optional=rule.optional)


def _check_holds(subject: Subject) -> list[HoldReason]:
    if subject.observations is not None:
        return coverage.image_holds(subject.observations, subject.image_count)
    why = subject.failure or "no pod answered"
    detail = f"The images could not be looked at: {why}. Check again later, under a new idempotency key."
    return [HoldReason(code="unavailable", image_index=coverage.WHOLE_CHECK, detail=detail)]


def _policy_holds(
    results: Sequence[PolicyResult], policy: PolicyInForce, subject: Subject, *, explained: bool
) -> list[HoldReason]:
    """One reason per policy that holds the check, unless the images' own reasons have `explained` it."""
    seen = subject.observations
    if seen is None:
        return []
    holds = []
    for result in results:
        name = result.policy
        if result.state == PolicyState.POLICY_STATE_UNSUPPORTED and not result.optional:
            why = coverage.unsupported(name, policy, seen)
            holds.append(_hold("unsupported", f"{why}, or mark {name} optional in the policy."))
        elif result.state in _HOLDS and ((failed := coverage.failures(name, policy, seen)) or not explained):
            why = "; ".join(failed) or "the pod does not say what looked"
            holds.append(_hold("unavailable", f"{name} could not be judged: {why}."))
    return holds


def _hold(code: str, detail: str) -> HoldReason:
    return HoldReason(code=code, image_index=coverage.WHOLE_CHECK, detail=detail)


def _verdict(findings: Sequence[Finding], holds: Sequence[HoldReason], subject: Subject) -> Verdict.ValueType:
    asked = [_ASKED_BY[found.action] for found in findings if found.action in _ASKED_BY]
    if holds:
        asked.append(_failure_verdict(subject) if subject.observations is None else Verdict.VERDICT_HOLD)
    return gravest(asked)


def _failure_verdict(subject: Subject) -> Verdict.ValueType:
    told = subject.failure_verdict
    return told if told in GRAVITY[1:] else Verdict.VERDICT_HOLD
