"""A moderation policy with the rule packs it names, hash lists and brands: all that a decision depends on."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from google.protobuf import json_format

from ostiary.v1.config_pb2 import (
    ActionStep,
    FailurePolicy,
    Fallback,
    LabelRule,
    ModerationPolicy,
    PolicyRule,
    Vocabulary,
)
from ostiary.v1.decision_pb2 import Action
from ostiary_gateway.brands.in_force import NO_BRANDS, Brands
from ostiary_gateway.hashes.header import LIFTABLE
from ostiary_gateway.hashes.in_force import NO_LISTS, HashLists
from ostiary_gateway.json_mapping import parse_message
from ostiary_gateway.policy import fallback
from ostiary_gateway.policy.vocabulary import NO_WORDS, Words, compiled
from ostiary_gateway.rules.pack import RulePack

SOURCES = frozenset({"ocr", "text", "barcode", "logo", "vlm", "nudity"})
ATTRIBUTES = ("category", "colour", "pattern", "style", "material", "audience", "scene", "styling")
"""The attributes of a product, in the order in which answers give them."""
_FALLBACKS = "FALLBACK_HOLD, FALLBACK_REVIEW or FALLBACK_CHEAP_TIER"
_MAX_SELLER_REASON = 300
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_TERRITORY = re.compile(r"([A-Z]{2})?")


@dataclass(frozen=True)
class PolicyInForce:
    """A valid policy, ready to decide.

    Attributes:
        message: the policy as written.
        packs: the rule packs that it names, in its order.
        sha256: SHA-256 (32 bytes) over the JSON text of `{"policy": …, "rule_packs": {"name@version": hex
            digest}}`, and `"hash_lists"` and `"brand_registries"` like `"rule_packs"` where there are any:
            field names as in the .proto file, keys sorted, no spaces, ASCII.
        lists: the hash lists in force beside it.
        words: the vocabulary of the policy.
        brands: the brand registries in force beside it.
    """

    message: ModerationPolicy
    packs: tuple[RulePack, ...]
    sha256: bytes
    lists: HashLists = NO_LISTS
    words: Words = NO_WORDS
    brands: Brands = NO_BRANDS

    @property
    def label(self) -> str:
        """Name and version: `default@1`."""
        return f"{self.message.name}@{self.message.version}"

    def rule(self, policy: str) -> PolicyRule | None:
        """What the policy says about `policy`; None where it does not judge it."""
        return next((rule for rule in self.message.policies if rule.policy == policy), None)

    @property
    def cheap_tier(self) -> bool:
        """Whether a cheap tier stands in for a model that fails."""
        return fallback.wants_cheap_tier(self.message)

    def with_policy(self, message: ModerationPolicy, packs: Mapping[str, RulePack]) -> "PolicyInForce":
        """Another policy beside the same lists and registries. Raises ValueError as `put_in_force`."""
        return put_in_force(message, packs).beside(self.lists, self.brands)

    def with_lists(self, lists: HashLists) -> "PolicyInForce":
        """The same policy beside other hash lists."""
        return self.beside(lists, self.brands)

    def with_brands(self, brands: Brands) -> "PolicyInForce":
        """The same policy beside other brand registries."""
        return self.beside(self.lists, brands)

    def beside(self, lists: HashLists, brands: Brands) -> "PolicyInForce":
        """The same policy beside other hash lists and brand registries."""
        digest = _digest(self.message, self.packs, lists, brands)
        return replace(self, lists=lists, brands=brands, sha256=digest)


def load(text: str, packs: Mapping[str, RulePack]) -> PolicyInForce:
    """The policy written in `text` (proto3 JSON mapping, as YAML).

    Raises:
        ValueError: in words: what is wrong where.
    """
    return put_in_force(parse_message(text, ModerationPolicy), packs)


def put_in_force(message: ModerationPolicy, packs: Mapping[str, RulePack]) -> PolicyInForce:
    """`message` with its rule packs, taken from `packs`.

    Raises:
        ValueError: as `load`.
    """
    _validate(message, packs)
    named = tuple(packs[name] for name in message.rule_packs)
    words = compiled(message.vocabulary)
    return PolicyInForce(message, named, _digest(message, named, NO_LISTS, NO_BRANDS), words=words)


def _digest(message: ModerationPolicy, packs: Iterable[RulePack], lists: HashLists, brands: Brands) -> bytes:
    content = {
        "policy": json_format.MessageToDict(message, preserving_proto_field_name=True),
        "rule_packs": {pack.label: pack.digest.hex() for pack in packs},
    }
    if lists.by_name:
        content["hash_lists"] = {one.header.title: one.digest.hex() for one in lists.by_name.values()}
    if brands.by_name:
        content["brand_registries"] = {one.title: one.digest.hex() for one in brands.by_name.values()}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).digest()


def _validate(message: ModerationPolicy, packs: Mapping[str, RulePack]) -> None:
    _require(_DNS_LABEL.fullmatch(message.name), "name: a DNS label is needed, such as `default`")
    _require(message.version, 'version: it is shown in receipts, so give one, such as "1"')
    _require(
        message.policies, "policies: name at least one; a policy that judges nothing would allow everything"
    )
    _require(
        _TERRITORY.fullmatch(message.default_territory), "defaultTerritory: two capital letters, such as `DE`"
    )
    _unique("policies", (rule.policy for rule in message.policies))
    _unique("rulePacks", message.rule_packs)
    for name in message.rule_packs:
        known = ", ".join(sorted(packs))
        _require(name in packs, f"rulePacks: there is no pack {name!r}; there are: {known}")
    for index, rule in enumerate(message.policies):
        _require(rule.policy, f"policies[{index}].policy: a name is needed")
        unknown = sorted(set(rule.allow_lifts) - LIFTABLE)
        names = ", ".join(sorted(LIFTABLE))
        _require(not unknown, f"policies[{index}].allowLifts: {unknown} is none of {names}")
        _validate_fallbacks(f"policies[{index}]", rule)
        _validate_labels(f"policies[{index}]", rule.labels, message.vocabulary)
    _validate_failure(message.failure, message.policies)


def _validate_fallbacks(path: str, rule: PolicyRule) -> None:
    twice = "`optional` says already that the route does without it: keep one of the two"
    _require(not (rule.optional and rule.on_unsupported), f"{path}.onUnsupported: {twice}")
    _require(rule.on_unsupported in Fallback.values(), f"{path}.onUnsupported: say {_FALLBACKS}")
    _require(rule.on_unavailable in Fallback.values(), f"{path}.onUnavailable: say {_FALLBACKS}")


def _validate_failure(failure: FailurePolicy, rules: Iterable[PolicyRule]) -> None:
    _require(failure.fallback in Fallback.values(), f"failure.fallback: say {_FALLBACKS}")
    said = {
        failure.fallback,
        *(each for rule in rules for each in (rule.on_unsupported, rule.on_unavailable)),
    }
    _require(
        not failure.allow_without_model or Fallback.FALLBACK_CHEAP_TIER in said,
        "failure.allowWithoutModel: nothing falls back to a cheap tier; say FALLBACK_CHEAP_TIER where one "
        "may stand in, or leave this out",
    )


def _validate_labels(path: str, labels: Iterable[LabelRule], vocabulary: Vocabulary) -> None:
    labels, categories = list(labels), {term.name for term in vocabulary.categories}
    _unique(f"{path}.labels", (rule.label for rule in labels))
    for index, rule in enumerate(labels):
        here = f"{path}.labels[{index}]"
        _require(rule.label, f"{here}.label: a name is needed")
        _require(rule.steps, f"{here}.steps: give at least one, or leave the label out to note it only")
        said = rule.seller_reason
        short = len(said) <= _MAX_SELLER_REASON and said.isprintable()
        _require(short, f"{here}.sellerReason: one line of at most {_MAX_SELLER_REASON} characters is needed")
        for number, step in enumerate(rule.steps):
            _validate_step(f"{here}.steps[{number}]", step)
            _validate_conditions(f"{here}.steps[{number}]", step, categories)


def _validate_step(path: str, step: ActionStep) -> None:
    actions = "ACTION_NOTE, ACTION_REVIEW or ACTION_BLOCK"
    _require(step.action in Action.values() and step.action, f"{path}.action: say {actions}")
    when = step.WhichOneof("when")
    _require(when, f"{path}: say when: threshold or targetPrecision")
    value = step.threshold if when == "threshold" else step.target_precision
    _require(0 < value <= 1, f"{path}.{when}: a number above 0 and at most 1 is needed, not {value:g}")
    unknown = set(step.sources) - SOURCES
    _require(not unknown, f"{path}.sources: {sorted(unknown)} is none of {', '.join(sorted(SOURCES))}")


def _validate_conditions(path: str, step: ActionStep, categories: set[str]) -> None:
    named = {"categories": step.categories, "exceptCategories": step.except_categories}
    for field, names in named.items():
        unknown = sorted(set(names) - categories)
        known = ", ".join(sorted(categories)) or "none"
        _require(
            not unknown, f"{path}.{field}: {unknown} is not in vocabulary.categories; there are: {known}"
        )
    for index, seen in enumerate(step.except_seen):
        here = f"{path}.exceptSeen[{index}]"
        _require(seen.name in ATTRIBUTES, f"{here}.name: {seen.name!r} is none of {', '.join(ATTRIBUTES)}")
        _require(seen.value, f"{here}.value: say which value of {seen.name}")
        least = "a number above 0 and at most 1 is needed"
        _require(0 < seen.confidence <= 1, f"{here}.confidence: {least}, not {seen.confidence:g}")


def _unique(path: str, names: Iterable[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    _require(not twice, f"{path}: {twice[0] if twice else ''!r} is named twice; keep one")


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)
