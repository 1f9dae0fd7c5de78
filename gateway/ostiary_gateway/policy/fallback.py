"""What stands in for a judgement that could not be made. A failure never turns into ALLOW by itself.

A cheap tier judges without the vision model. It lets a check pass only where the policy's author has said so
in so many words (`allowWithoutModel`), and only over images that were decoded, with all their detectors.
"""

from ostiary.v1.config_pb2 import Fallback, ModerationPolicy, PolicyRule
from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.observation_pb2 import PolicyState

_WORDS = {
    Fallback.FALLBACK_HOLD: "HOLD",
    Fallback.FALLBACK_REVIEW: "REVIEW",
    Fallback.FALLBACK_CHEAP_TIER: "cheap tier",
}


def on_unsupported(rule: PolicyRule) -> Fallback.ValueType | None:
    """What stands in where no bundle can judge a policy; None where the route does without it."""
    return None if rule.optional else rule.on_unsupported or Fallback.FALLBACK_HOLD


def on_unavailable(rule: PolicyRule, policy: ModerationPolicy) -> Fallback.ValueType:
    """What stands in where what should have judged a policy failed; unspecified where nothing is said."""
    return rule.on_unavailable or policy.failure.fallback


def stand_in(
    rule: PolicyRule, state: PolicyState.ValueType, policy: ModerationPolicy
) -> Fallback.ValueType | None:
    """What stands in for the judgement of one policy; None where there is one, or the route does without."""
    if state == PolicyState.POLICY_STATE_JUDGED:
        return None
    if state == PolicyState.POLICY_STATE_UNSUPPORTED:
        return on_unsupported(rule)
    if state == PolicyState.POLICY_STATE_UNAVAILABLE:
        return on_unavailable(rule, policy) or Fallback.FALLBACK_HOLD
    return Fallback.FALLBACK_HOLD  # a faulty image is not the model's failure, and nothing stands in for it


def asks(fallback: Fallback.ValueType, *, may_allow: bool = False) -> Verdict.ValueType:
    """The verdict that a stand-in asks for.

    `may_allow`: the author has said so, and everything but the model has looked.
    """
    if fallback == Fallback.FALLBACK_CHEAP_TIER:
        return Verdict.VERDICT_ALLOW if may_allow else Verdict.VERDICT_REVIEW
    return Verdict.VERDICT_REVIEW if fallback == Fallback.FALLBACK_REVIEW else Verdict.VERDICT_HOLD


def wants_cheap_tier(policy: ModerationPolicy) -> bool:
    """Whether a cheap tier stands in for a model that fails, for some policy."""
    return any(on_unavailable(rule, policy) == Fallback.FALLBACK_CHEAP_TIER for rule in policy.policies)


def named(fallback: Fallback.ValueType) -> str:
    """A stand-in in words."""
    return _WORDS.get(fallback, "HOLD")
