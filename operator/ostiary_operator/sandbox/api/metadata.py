"""Names, labels and the rest of `metadata`: what the server sets and what it accepts."""

import re
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any

from ostiary_operator.sandbox.api.selectors import good_key, good_value
from ostiary_operator.sandbox.api.status import FieldError, forbidden_field, invalid_value, required

Json = dict[str, Any]

_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', "
    "regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
KEY_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  "
    "or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', "
    "regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_SHORT = {"namespaces", "services"}
_PATHS = {"roles", "rolebindings", "clusterroles", "clusterrolebindings"}
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_MOST_ANNOTATIONS = 256 * 1024


def timestamp(moment: float) -> str:
    """A moment (seconds since 1970) as Kubernetes writes it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(moment: float) -> str:
    """A moment with microseconds, as Leases have it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> float:
    """A timestamp as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def new_uid() -> str:
    """An identity for an object."""
    return str(uuid.uuid4())


def generated_name(prefix: str) -> str:
    """A name from `generateName`."""
    return prefix[:58] + "".join(secrets.choice(_LETTERS) for _ in range(5))


def check_metadata(metadata: Json, plural: str) -> list[FieldError]:
    """What is wrong with an object's metadata."""
    name = metadata.get("name", "")
    errors = []
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    elif plural in _PATHS:
        if name in (".", "..") or "/" in name or "%" in name:
            errors.append(invalid_value("metadata.name", name, "may not contain '/' or '%'"))
    elif plural in _SHORT:
        if len(name) > 63:
            errors.append(invalid_value("metadata.name", name, "must be no more than 63 characters"))
        if not _LABEL.match(name):
            errors.append(invalid_value("metadata.name", name, _LABEL_WORDS))
    else:
        if len(name) > 253:
            errors.append(invalid_value("metadata.name", name, "must be no more than 253 characters"))
        if not _SUBDOMAIN.match(name):
            errors.append(invalid_value("metadata.name", name, _SUBDOMAIN_WORDS))
    errors += check_labels(metadata.get("labels") or {}, "metadata.labels")
    size = 0
    for key, value in (metadata.get("annotations") or {}).items():
        size += len(key) + len(value)
        if not good_key(key.lower()):
            errors.append(invalid_value("metadata.annotations", key, KEY_WORDS))
    if size > _MOST_ANNOTATIONS:
        errors.append(
            FieldError(
                "FieldValueTooLong",
                "metadata.annotations",
                f"Too long: may not be more than {_MOST_ANNOTATIONS} bytes",
            )
        )
    for index, finalizer in enumerate(metadata.get("finalizers") or []):
        if not good_key(finalizer):
            errors.append(invalid_value(f"metadata.finalizers[{index}]", finalizer, KEY_WORDS))
    errors += _check_owners(metadata.get("ownerReferences") or [])
    return errors


def check_labels(labels: Json, path: str) -> list[FieldError]:
    """What is wrong with labels."""
    errors = []
    for key, value in labels.items():
        if not good_key(key):
            errors.append(invalid_value(path, key, KEY_WORDS))
        if len(value) > 63:
            errors.append(invalid_value(path, value, "must be no more than 63 characters"))
        elif not good_value(value):
            errors.append(invalid_value(path, value, _VALUE_WORDS))
    return errors


def _check_owners(owners: list[Json]) -> list[FieldError]:
    errors = []
    for index, owner in enumerate(owners):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                errors.append(
                    invalid_value(f"metadata.ownerReferences[{index}].{field}", "", "must not be empty")
                )
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        detail = "Only one reference can have Controller set to true"
        errors.append(invalid_value("metadata.ownerReferences", owners, detail))
    return errors


def check_metadata_update(new: Json, old: Json) -> list[FieldError]:
    """What of an object's metadata was changed and may not be."""
    errors = []
    for field in ("name", "namespace", "uid"):
        if new.get(field, "") != old.get(field, ""):
            errors.append(invalid_value(f"metadata.{field}", new.get(field, ""), "field is immutable"))
    if old.get("deletionTimestamp"):
        added = set(new.get("finalizers") or ()) - set(old.get("finalizers") or ())
        if added:
            listed = " ".join(f'"{one}"' for one in sorted(added))
            detail = "no new finalizers can be added if the object is being deleted, found new finalizers"
            errors.append(forbidden_field("metadata.finalizers", f"{detail} []string{{{listed}}}"))
    return errors
