"""Lists: selected, in pages, at the version that was asked for."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ostiary_operator.sandbox.api import conversion, selectors, status
from ostiary_operator.sandbox.api.request import options_invalid
from ostiary_operator.sandbox.api.resources import EVENTS, Resource
from ostiary_operator.sandbox.api.store import GoneError, Key, Store, Stored

Json = dict[str, Any]
Selects = Callable[[Json], bool]

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. "
    "You can start a new list without the continue parameter."
)


@dataclass(frozen=True)
class Page:
    """Part of a list."""

    items: list[Stored]
    revision: int
    token: str = ""
    remaining: int = 0

    def metadata(self) -> Json:
        """`metadata` of the list."""
        made: Json = {"resourceVersion": str(self.revision)}
        if self.token:
            made["continue"] = self.token
            if self.remaining:
                made["remainingItemCount"] = self.remaining
        return made


def selection(resource: Resource, query: Mapping[str, str]) -> Selects | None:
    """What a query's selectors let through; None where that is everything."""
    labels = selectors.parse_labels(query.get("labelSelector", ""))
    extra: frozenset[str] = frozenset()
    if resource.custom is not None:
        fields = resource.custom.get("selectableFields") or ()
        extra = frozenset(one["jsonPath"].lstrip(".") for one in fields)
    rename = conversion.core_field if resource.group == EVENTS else str
    fields_match = selectors.parse_fields(query.get("fieldSelector", ""), resource.plural, extra, rename)
    if not labels.requirements:
        return fields_match
    if fields_match is None:
        return lambda obj: labels.matches(obj["metadata"].get("labels"))
    both = fields_match
    return lambda obj: labels.matches(obj["metadata"].get("labels")) and both(obj)


def revision_of(text: str) -> int:
    """A `resourceVersion` as a number; 400 where it is none."""
    if not text.isdigit():
        raise status.bad_request(f'invalid resource version "{text}"')
    return int(text)


def page(store: Store, resource: Resource, namespace: str | None, query: Mapping[str, str]) -> Page:
    """The list, or the part of it, that a query asks for."""
    limit = _limit(query.get("limit", ""))
    token, version = query.get("continue", ""), query.get("resourceVersion", "")
    match = query.get("resourceVersionMatch", "")
    _check_match(match, version, token)
    start: Key | None = None
    revision = store.revision
    if token:
        revision, start = _decoded(token)
    elif version not in ("", "0"):
        asked = revision_of(version)
        if asked > store.revision:
            raise status.too_large_version(asked, store.revision)
        if match == "Exact" or (limit and not match):
            revision = asked
    try:
        if revision == store.revision:
            found = store.items(resource.bucket, namespace)
        else:
            found = store.listed_at(resource.bucket, revision, namespace)
    except GoneError as error:
        raise status.expired(_TOO_OLD if token else str(error)) from error
    selects = selection(resource, query)
    if selects is not None:
        found = [item for item in found if selects(item[1].data)]
    if start is not None:
        found = [item for item in found if item[0] > start]
    if not limit or len(found) <= limit:
        return Page([stored for _, stored in found], revision)
    rest = len(found) - limit
    kept = found[:limit]
    after = _encoded(revision, kept[-1][0])
    return Page([stored for _, stored in kept], revision, after, rest if selects is None else 0)


def _limit(text: str) -> int:
    if not text:
        return 0
    try:
        return max(int(text), 0)
    except ValueError as error:
        raise status.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def _check_match(match: str, version: str, token: str) -> None:
    path = "resourceVersionMatch"
    if not match:
        return
    if match not in ("Exact", "NotOlderThan"):
        raise options_invalid("ListOptions", [status.unsupported(path, match, ("Exact", "NotOlderThan", ""))])
    if not version:
        detail = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise options_invalid("ListOptions", [status.forbidden_field(path, detail)])
    if token:
        detail = "resourceVersionMatch is forbidden when continue is provided"
        raise options_invalid("ListOptions", [status.forbidden_field(path, detail)])
    if match == "Exact" and version == "0":
        detail = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        raise options_invalid("ListOptions", [status.forbidden_field(path, detail)])


def _encoded(revision: int, key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, *key]).encode()).decode().rstrip("=")


def _decoded(token: str) -> tuple[int, Key]:
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(revision), (str(namespace), str(name))
    except (ValueError, binascii.Error, TypeError) as error:
        raise status.bad_request("continue key is not valid: illegal base64 data") from error
