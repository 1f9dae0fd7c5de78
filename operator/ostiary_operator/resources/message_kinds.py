"""The resources whose specs are messages of `ostiary.v1`, and what gateways check that types leave open.

A gateway checks everything again as it takes an object up; what is said here is said earlier, to whoever
applies it.
"""

from __future__ import annotations

from pydantic import Field

from ostiary_operator.resources.conditions import Condition
from ostiary_operator.resources.messages import Facets
from ostiary_operator.resources.part import WHOLE, Part
from ostiary_operator.resources.structural import Rules

_LABEL = {"pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "maxLength": 63}
_PINNED = {"minLength": 1, "maxLength": 63}
_SHARE = {"minimum": 0, "maximum": WHOLE}
_TERRITORIES = {"items": {"pattern": "^[A-Z]{2}$"}, "maxItems": 300}
_REFERENCE = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", "maxLength": 128}
_MIB = 1024 * 1024
_FRACTION = {"minimum": 0, "exclusiveMinimum": True, "maximum": 1}
# CEL's costs are estimated by how much there may be.
FACETS: Facets = {
    "TrafficRoute.": {"required": ["versions"]},
    "TrafficRoute.name": _LABEL,
    "TrafficRoute.versions": {"minItems": 1, "maxItems": 50},
    # The keeper's pins stand beside people's, each its own.
    "TrafficRoute.pins": {
        "maxItems": 200,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["tenant", "header"],
    },
    "TrafficRoute.mirrors": {"maxItems": 50},
    "RouteVersion.": {"required": ["name"]},
    "RouteVersion.name": _LABEL,
    "RouteVersion.weight": _SHARE,
    "RouteVersion.endpoints": {"maxItems": 1000},
    "Endpoint.": {"required": ["address"]},
    "Endpoint.address": {"minLength": 1, "maxLength": 300},
    "Endpoint.server_name": {"maxLength": 253},
    "RoutePin.": {"required": ["version"]},
    "RoutePin.version": _PINNED,
    "RoutePin.tenant": {"maxLength": 253, "default": ""},
    "RoutePin.header": {"maxLength": 253, "default": ""},
    "RoutePin.arm": {"enum": ["", "candidate", "control"]},
    "RouteMirror.": {"required": ["version"]},
    "RouteMirror.version": _PINNED,
    "RouteMirror.share": _SHARE,
    "ModerationPolicy.": {"required": ["version", "policies"]},
    "ModerationPolicy.name": _LABEL,
    "ModerationPolicy.version": {"minLength": 1, "maxLength": 128},
    "ModerationPolicy.policies": {"minItems": 1, "maxItems": 50},
    "ModerationPolicy.rule_packs": {"maxItems": 50},
    "ModerationPolicy.default_territory": {"pattern": "^([A-Z]{2})?$"},
    "PolicyRule.": {"required": ["policy"]},
    "PolicyRule.policy": {"minLength": 1, "maxLength": 128},
    "PolicyRule.labels": {"maxItems": 50},
    "PolicyRule.allow_lifts": {
        "items": {"enum": ["vlm", "nudity", "ocr", "logo", "barcode", "pdq", "sha256"]},
        "maxItems": 10,
    },
    "LabelRule.": {"required": ["label", "steps"]},
    "LabelRule.label": {"minLength": 1, "maxLength": 128},
    "LabelRule.steps": {"minItems": 1, "maxItems": 10},
    "LabelRule.seller_reason": {"maxLength": 300},
    "ActionStep.": {"required": ["action"]},
    "ActionStep.threshold": _FRACTION,
    "ActionStep.target_precision": _FRACTION,
    "ActionStep.sources": {
        "items": {"enum": ["ocr", "text", "barcode", "logo", "vlm", "nudity"]},
        "maxItems": 10,
    },
    "ActionStep.categories": {"maxItems": 100},
    "ActionStep.except_categories": {"maxItems": 100},
    "ActionStep.except_seen": {"maxItems": 20},
    "SeenAttribute.": {"required": ["name", "value", "confidence"]},
    "SeenAttribute.name": {
        "enum": ["category", "colour", "pattern", "style", "material", "audience", "scene", "styling"]
    },
    "SeenAttribute.value": {"minLength": 1},
    "SeenAttribute.confidence": _FRACTION,
    "BrandRegistry.": {"required": ["version", "brands"]},
    "BrandRegistry.name": _LABEL,
    "BrandRegistry.version": {"minLength": 1, "maxLength": 128},
    "BrandRegistry.brands": {"minItems": 1},
    "Brand.": {"required": ["id"]},
    "Brand.id": _LABEL,
    "Brand.territories": _TERRITORIES,
    "BrandMark.": {"required": ["referenceId", "image"]},
    "BrandMark.reference_id": _REFERENCE,
    "BrandMark.image": {"minLength": 1, "maxLength": -(-_MIB // 3) * 4},
    "WordMark.": {"required": ["referenceId", "text"]},
    "WordMark.reference_id": _REFERENCE,
    "WordMark.text": {"minLength": 1},
    "Authorisation.": {"required": ["seller"]},
    "Authorisation.seller": {"minLength": 1, "maxLength": 256},
    "Authorisation.territories": _TERRITORIES,
}
NAMED_AS_THE_OBJECT = (
    (
        "!has(self.spec.name) || self.spec.name == self.metadata.name",
        "spec.name: leave it out, or say metadata.name: the object is called so already",
    ),
)
MESSAGE_RULES: Rules = {
    "TrafficRoute": (
        (
            f"self.versions.map(one, has(one.weight) ? one.weight : 0).sum() == {WHOLE}",
            f"versions: the weights have to sum to {WHOLE} basis points",
        ),
        (
            "self.versions.all(one, self.versions.exists_one(other, other.name == one.name))",
            "versions: a name stands there twice; keep one",
        ),
        (
            "!has(self.pins) || self.pins.all(pin, self.versions.exists(one, one.name == pin.version))",
            "pins: a version is named that versions does not have",
        ),
        (
            "!has(self.mirrors) || "
            "self.mirrors.all(mirror, self.versions.exists(one, one.name == mirror.version))",
            "mirrors: a version is named that versions does not have",
        ),
        (
            "!has(self.failureVerdict) || self.failureVerdict != 'VERDICT_ALLOW'",
            "failureVerdict: VERDICT_ALLOW is refused: a failure must not publish; say VERDICT_HOLD",
        ),
        (
            "self == oldSelf || (has(self.epoch) && "
            "int(self.epoch) > (has(oldSelf.epoch) ? int(oldSelf.epoch) : 0))",
            "epoch: give the changed route a greater one; gateways say by it which route they have applied",
        ),
    ),
    "PolicyRule": (
        (
            "!has(self.optional) || !self.optional || !has(self.onUnsupported)",
            "onUnsupported: `optional` says already that the route does without it; keep one of the two",
        ),
    ),
    "ActionStep": (
        (
            "has(self.threshold) || has(self.targetPrecision)",
            "say when: threshold or targetPrecision",
        ),
        (
            "self.action != 'ACTION_UNSPECIFIED'",
            "action: say ACTION_NOTE, ACTION_REVIEW or ACTION_BLOCK",
        ),
    ),
}


class TakenUp(Part):
    """What gateways made of the object: condition `Accepted`, False with what is wrong where; then the last
    good version stays in force.
    """

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = Field(default=(), max_length=20)
