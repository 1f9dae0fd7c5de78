"""Label and field selectors, as query strings and as LabelSelector objects."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ostiary_operator.sandbox.api.status import bad_request
from ostiary_operator.sandbox.api.values import at

Json = dict[str, Any]

_NAME = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$")
_PREFIX = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")


def good_key(key: str) -> bool:
    """Whether `key` can name a label."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _PREFIX.match(prefix)):
        return False
    return bool(_NAME.match(name))


def good_value(value: str) -> bool:
    """Whether `value` can be a label's."""
    return not value or bool(_NAME.match(value))


@dataclass(frozen=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet it."""
        if self.operator == "Exists":
            return self.key in labels
        if self.operator == "DoesNotExist":
            return self.key not in labels
        if self.operator == "In":
            return self.key in labels and labels[self.key] in self.values
        if self.operator == "NotIn":
            return labels.get(self.key) not in self.values
        try:
            number, bound = int(labels[self.key]), int(self.values[0])
        except (KeyError, ValueError):
            return False
        return number > bound if self.operator == "Gt" else number < bound


@dataclass(frozen=True)
class LabelSelector:
    """Conditions that labels must all meet; none are met by everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Whether these labels are selected."""
        return all(one.matches(labels or {}) for one in self.requirements)


_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^()]*)\)$")
_COMPARE = re.compile(r"^([^=!<>\s]+)\s*(==|=|!=|>|<)\s*([^=!<>\s]*)$")
_OPERATORS = {"=": "In", "==": "In", "!=": "NotIn", ">": "Gt", "<": "Lt", "in": "In", "notin": "NotIn"}


def parse_labels(text: str) -> LabelSelector:
    """A selector from a query: `a=b,c in (d,e),!f`."""
    parts = re.split(r",(?![^(]*\))", text) if text.strip() else []
    return LabelSelector(tuple(_parse_requirement(part.strip(), text) for part in parts))


def _parse_requirement(part: str, text: str) -> Requirement:
    if match := _SET.match(part):
        key, operator, inner = match.groups()
        values = tuple(value.strip() for value in inner.split(","))
    elif match := _COMPARE.match(part):
        key, operator, value = match.groups()
        values = (value,)
    else:
        key, operator, values = part.lstrip("! "), "DoesNotExist" if part.startswith("!") else "Exists", ()
    if not good_key(key) or not all(good_value(value) for value in values):
        raise bad_request(f'unable to parse requirement: found {part!r} in "{text}"'.replace("'", '"'))
    return Requirement(key, _OPERATORS.get(operator, operator), values)


def of_object(selector: Json | None) -> LabelSelector | None:
    """A selector from a LabelSelector object; None selects nothing, as an absent selector does."""
    if selector is None:
        return None
    pairs = (selector.get("matchLabels") or {}).items()
    requirements = [Requirement(key, "In", (value,)) for key, value in pairs]
    for one in selector.get("matchExpressions") or []:
        requirements.append(Requirement(one["key"], one["operator"], tuple(one.get("values") or ())))
    return LabelSelector(tuple(requirements))


def of_map(labels: Mapping[str, str] | None) -> LabelSelector | None:
    """A selector from plain labels, as Services have; none select nothing."""
    if not labels:
        return None
    return LabelSelector(tuple(Requirement(key, "In", (value,)) for key, value in labels.items()))


def as_query(selector: Json | None) -> str:
    """A LabelSelector object as a query string, as `status.selector` of a Scale has it."""
    found = of_object(selector) or LabelSelector()
    words = []
    for one in sorted(found.requirements, key=lambda one: one.key):
        if one.operator == "In" and len(one.values) == 1:
            words.append(f"{one.key}={one.values[0]}")
        elif one.operator in ("In", "NotIn"):
            words.append(f"{one.key} {one.operator.lower()} ({','.join(sorted(one.values))})")
        else:
            words.append(one.key if one.operator == "Exists" else f"!{one.key}")
    return ",".join(words)


_FIELDS: Mapping[str, frozenset[str]] = {
    "pods": frozenset(
        ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
         "status.phase", "status.podIP", "status.nominatedNodeName", "spec.hostNetwork")
    ),
    "events": frozenset(
        ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
         "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
         "reportingComponent", "source", "type")
    ),
    "nodes": frozenset(("spec.unschedulable",)),
    "namespaces": frozenset(("status.phase",)),
    "secrets": frozenset(("type",)),
    "replicasets": frozenset(("status.replicas",)),
    "jobs": frozenset(("status.successful",)),
    "services": frozenset(("spec.clusterIP", "spec.type")),
}  # fmt: skip

Match = Callable[[Json], bool]


def parse_fields(
    text: str,
    plural: str,
    selectable: frozenset[str] = frozenset(),
    rename: Callable[[str], str] = str,
) -> Match | None:
    """What a field selector selects; None where it selects everything. `rename` leads to the stored field."""
    known = frozenset(("metadata.name", "metadata.namespace")) | _FIELDS.get(plural, frozenset()) | selectable
    terms: list[tuple[tuple[str, ...], bool, str]] = []
    for part in filter(None, text.split(",")):
        match = re.match(r"^([^=!]+)(==|=|!=)(.*)$", part)
        if match is None:
            raise bad_request(f'invalid selector: "{text}"; can\'t understand "{part}"')
        path, operator, value = match.groups()
        path = rename(path)
        if path not in known:
            raise bad_request(f"field label not supported: {path}")
        terms.append((tuple(path.split(".")), operator != "!=", value))
    if not terms:
        return None
    return lambda obj: all(
        (_text(at(obj, *path, default="")) == value) is wanted for path, wanted, value in terms
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
