"""A policy in words, and which part of it decided a check. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ostiary.v1.config_pb2 import ActionStep, PolicyRule
from ostiary.v1.decision_pb2 import Action, Finding, HoldReason, PolicyResult, Verdict
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import PolicyState
from ostiary_gateway.policy import fallback
from ostiary_gateway.policy.decide import ASKED_BY, GRAVITY
from ostiary_gateway.policy.in_force import PolicyInForce

_LISTS = {"sha256", "pdq"}
_SAME = 1e-9


@dataclass(frozen=True)
class StepInWords:
    """One step of a label.

    Attributes:
        place: where it stands: `policies[0].labels[1].steps[0]`.
        policy: policy that it belongs to.
        label: label that it belongs to.
        action: `NOTE`, `REVIEW` or `BLOCK`.
        when: from which score on, in words.
        conditions: what must hold beside that, in words; may be empty.
        meant: whether it can be taken for the listing that was asked about.
    """

    place: str
    policy: str
    label: str
    action: str
    when: str
    conditions: str
    meant: bool


@dataclass(frozen=True)
class Cause:
    """One thing that a verdict rests on.

    Attributes:
        what: `finding`, `hold`, `failure` or `nothing`.
        about: `prohibited_ads/contact_details (ocr)`, a policy, or the code of a reason.
        place: the part of the policy that says so; empty where none does.
        words: what it says, in words.
        asks: the verdict that it asks for; empty for none.
        decisive: whether the verdict is what it asks for.
    """

    what: str
    about: str
    place: str
    words: str
    asks: str
    decisive: bool


def fallbacks(rule: PolicyRule, policy: PolicyInForce) -> tuple[str, str]:
    """What stands in where a policy is unsupported, and where it is unavailable, in words."""
    unsupported = fallback.on_unsupported(rule)
    said = fallback.on_unavailable(rule, policy.message)
    without = "done without" if unsupported is None else fallback.named(unsupported)
    return without, fallback.named(said)


def steps(policy: PolicyInForce, category: str | None = None) -> Iterator[StepInWords]:
    """All steps in their order; `category`: as a listing would give it, None for whatever it claims."""
    claimed = None if category is None else policy.words.categories_of(Listing(category=category))
    for place, rule, label, step in _walk(policy):
        yield StepInWords(
            place=place,
            policy=rule.policy,
            label=label,
            action=Action.Name(step.action).removeprefix("ACTION_"),
            when=_when(step),
            conditions=_conditions(step),
            meant=claimed is None or _meant(step, claimed),
        )


def causes(
    policy: PolicyInForce,
    verdict: Verdict.ValueType,
    findings: Iterable[Finding],
    holds: Iterable[HoldReason],
    results: Iterable[PolicyResult],
) -> list[Cause]:
    """What a verdict rests on, in the words of `policy`: what decided it first."""
    found = [_of_finding(policy, each, verdict) for each in findings]
    found += [_of_hold(each, verdict) for each in holds]
    found += [cause for each in results if (cause := _of_result(policy, each, verdict))]
    if not any(cause.decisive for cause in found):
        words = "every policy was judged, or the policy does without it, and no finding asks for more"
        found.append(Cause("nothing", "", "", words, "ALLOW", verdict == Verdict.VERDICT_ALLOW))
    return sorted(found, key=lambda cause: (not cause.decisive, -_gravity(cause.asks)))


def _walk(policy: PolicyInForce) -> Iterator[tuple[str, PolicyRule, str, ActionStep]]:
    for index, rule in enumerate(policy.message.policies):
        for number, label in enumerate(rule.labels):
            for place, step in enumerate(label.steps):
                yield f"policies[{index}].labels[{number}].steps[{place}]", rule, label.label, step


def _when(step: ActionStep) -> str:
    if step.WhichOneof("when") == "threshold":
        return f"from {step.threshold:g} on"
    return f"from the bundle's score for precision {step.target_precision:g} on"


def _conditions(step: ActionStep) -> str:
    said = [f"by {', '.join(step.sources)}"] if step.sources else []
    said += [f"for {', '.join(step.categories)}"] if step.categories else []
    said += [f"except for {', '.join(step.except_categories)}"] if step.except_categories else []
    said += [
        f"except where {seen.name} is {seen.value}, from {seen.confidence:g} on" for seen in step.except_seen
    ]
    return "; ".join(said)


def _meant(step: ActionStep, claimed: frozenset[str]) -> bool:
    wanted = not step.categories or not claimed.isdisjoint(step.categories)
    return wanted and claimed.isdisjoint(step.except_categories)


def _of_finding(policy: PolicyInForce, found: Finding, verdict: Verdict.ValueType) -> Cause:
    asked = ASKED_BY.get(found.action)
    place, words = _step_of(policy, found)
    return Cause(
        what="finding",
        about=f"{found.policy}/{found.label} ({found.source}, {found.score:.2f})",
        place=place,
        words=words,
        asks=_name(asked) if asked else "",
        decisive=asked == verdict,
    )


def _step_of(policy: PolicyInForce, found: Finding) -> tuple[str, str]:
    """The step that a finding was made by, as far as this policy has one, and what it says."""
    if found.evidence.HasField("allowed_by"):
        return "", f"a note, because the allow-list {found.evidence.allowed_by.list} knows the image"
    if found.source in _LISTS:
        return "", f"the list {found.evidence.known_image.list} knows the image"
    if found.action == Action.ACTION_NOTE and not found.threshold:
        return "", "noted: no step is reached"
    for place, rule, label, step in _walk(policy):
        if (rule.policy, label, step.action) != (found.policy, found.label, found.action):
            continue
        if step.sources and found.source not in step.sources:
            continue
        by_table = step.WhichOneof("when") == "target_precision"
        if by_table or abs(step.threshold - found.threshold) < _SAME:
            told = f", here {found.threshold:g}" if by_table else ""
            return place, f"{_when(step)}{told}{_after(_conditions(step))}"
    return "", "no step of this policy asks for that: it was decided by another"


def _after(conditions: str) -> str:
    return f"; {conditions}" if conditions else ""


def _of_hold(reason: HoldReason, verdict: Verdict.ValueType) -> Cause:
    where = f"{reason.code}, image {reason.image_index}" if reason.image_index >= 0 else reason.code
    decisive = verdict == Verdict.VERDICT_HOLD
    return Cause("hold", where, "", reason.detail, "HOLD" if decisive else "", decisive)


def _of_result(policy: PolicyInForce, result: PolicyResult, verdict: Verdict.ValueType) -> Cause | None:
    """What stood in where a policy was not judged; None where it was."""
    state = result.state
    index, rule = next(
        ((place, each) for place, each in enumerate(policy.message.policies) if each.policy == result.policy),
        (-1, None),
    )
    if state == PolicyState.POLICY_STATE_JUDGED or rule is None:
        return None
    shown = PolicyState.Name(state).removeprefix("POLICY_STATE_").lower()
    unsupported, unavailable = fallbacks(rule, policy)
    if state == PolicyState.POLICY_STATE_UNSUPPORTED:
        place, stands_in = (
            f"policies[{index}].{'optional' if rule.optional else 'onUnsupported'}",
            unsupported,
        )
    elif state == PolicyState.POLICY_STATE_UNREADABLE:
        return Cause(
            "failure", f"{result.policy} {shown}", "", "nothing stands in for a faulty image", "", False
        )
    else:
        place = f"policies[{index}].onUnavailable" if rule.on_unavailable else "failure.fallback"
        stands_in = "cheap tier" if state == PolicyState.POLICY_STATE_CHEAP_TIER else unavailable
    asks = stands_in if stands_in in ("HOLD", "REVIEW") else ""
    if stands_in == "cheap tier":
        asks = "ALLOW" if verdict == Verdict.VERDICT_ALLOW else "REVIEW"
    return Cause(
        "failure", f"{result.policy} {shown}", place, f"stands in: {stands_in}", asks, asks == _name(verdict)
    )


def _name(verdict: Verdict.ValueType) -> str:
    return Verdict.Name(verdict).removeprefix("VERDICT_")


def _gravity(asks: str) -> int:
    return GRAVITY.index(Verdict.Value(f"VERDICT_{asks}")) if asks else -1
