"""Who owns which field: tracking by updates, and server-side apply with its conflicts; pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ostiary_operator.sandbox.api.fields import (
    Path,
    described,
    flattened,
    merged,
    of_fields_v1,
    to_fields_v1,
    without,
)
from ostiary_operator.sandbox.api.status import ApiError
from ostiary_operator.sandbox.api.values import same

Json = dict[str, Any]

APPLY, UPDATE = "Apply", "Update"


@dataclass(frozen=True)
class Manager:
    """One entry of `managedFields`."""

    name: str
    operation: str
    api_version: str
    subresource: str
    time: str
    fields: frozenset[Path]

    @classmethod
    def of(cls, entry: Json) -> "Manager":
        """An entry as it is stored."""
        return cls(
            entry.get("manager", ""),
            entry.get("operation", UPDATE),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
            entry.get("time", ""),
            frozenset(of_fields_v1(entry.get("fieldsV1") or {})),
        )

    def entry(self) -> Json:
        """As it is stored."""
        made: Json = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(self.fields),
        }
        return made | ({"subresource": self.subresource} if self.subresource else {})

    def same_as(self, other: "Manager") -> bool:
        """Whether both are the same manager doing the same."""
        return (self.name, self.operation, self.subresource) == (
            other.name,
            other.operation,
            other.subresource,
        ) and (self.operation == APPLY or self.api_version == other.api_version)

    def __str__(self) -> str:
        words = f'"{self.name}"'
        if self.subresource:
            words += f' with subresource "{self.subresource}"'
        words += f" using {self.api_version}"
        return f"{words} at {self.time}" if self.operation == UPDATE and self.time else words


def managers_of(obj: Json) -> list[Manager]:
    """The managers that an object's metadata lists."""
    return [Manager.of(entry) for entry in obj["metadata"].get("managedFields") or ()]


def _listed(managers: list[Manager]) -> list[Json]:
    kept = [one for one in managers if one.fields]
    order = sorted(
        kept, key=lambda one: (one.operation, one.time if one.operation == UPDATE else "", one.name)
    )
    return [one.entry() for one in order]


Owns = Callable[[Path], bool]
"""Whether a request of this kind can own the field: status belongs to its subresource."""


def tracked(schema: Json, old: Json | None, new: Json, who: Manager, owns: Owns) -> list[Json]:
    """`managedFields` after an update: what changed is the writer's alone, what is gone is nobody's."""
    before = flattened(schema, old) if old is not None else {}
    after = flattened(schema, new)
    changed = {path for path, value in after.items() if path not in before or not same(before[path], value)}
    mine = {path for path in changed if owns(path)}
    managers = [
        replace(one, fields=(one.fields - changed) & after.keys())
        for one in (managers_of(old) if old else [])
    ]
    if not mine:
        return _listed(managers)
    for index, one in enumerate(managers):
        if one.same_as(who):
            managers[index] = replace(one, fields=one.fields | mine, time=who.time)
            break
    else:
        managers.append(replace(who, fields=frozenset(mine)))
    return _listed(managers)


def applied(schema: Json, live: Json, config: Json, who: Manager, owns: Owns, *, force: bool) -> Json:
    """The live object after a configuration was applied; 409 where others own what it changes.

    The caller drops from `config` what this kind of request cannot write.
    """
    wanted = frozenset(path for path in flattened(schema, config) if owns(path))
    result: Json = merged(schema, live, config | {"metadata": _without_managers(config["metadata"])})
    managers = managers_of(live)
    mine = next((one for one in managers if one.same_as(who)), None)
    others = [one for one in managers if one is not mine]
    before, after = flattened(schema, live), flattened(schema, result)
    changed = {path for path, value in after.items() if path not in before or not same(before[path], value)}
    clashes = [(one, sorted(one.fields & changed)) for one in others]
    clashes = [(one, paths) for one, paths in clashes if paths]
    if clashes and not force:
        raise _conflict(clashes)
    others = [replace(one, fields=one.fields - changed) for one in others]
    if mine is not None:
        result = _given_up(schema, result, mine.fields - wanted, [*(one.fields for one in others), wanted])
    unchanged = mine is not None and mine.fields == wanted and same(_bare(live), _bare(result))
    entry = replace(who, fields=wanted, time=mine.time if unchanged and mine is not None else who.time)
    left = flattened(schema, result).keys()
    others = [replace(one, fields=one.fields & left) for one in others]
    result["metadata"] = result["metadata"] | {"managedFields": _listed([*others, entry])}
    return result


def _bare(obj: Json) -> Json:
    return obj | {"metadata": _without_managers(obj["metadata"])}


def _without_managers(metadata: Json) -> Json:
    return {key: value for key, value in metadata.items() if key != "managedFields"}


def _given_up(schema: Json, obj: Json, dropped: frozenset[Path], kept: list[frozenset[Path]]) -> Json:
    """Removes what the manager applied before and no longer does, unless anybody else holds it."""
    owned = frozenset().union(*kept)
    holders = {path[:length] for path in owned for length in range(1, len(path) + 1)}
    return without(schema, obj, {path for path in dropped if path not in holders})


def _conflict(clashes: list[tuple[Manager, list[Path]]]) -> ApiError:
    count = sum(len(paths) for _, paths in clashes)
    words = []
    for one, paths in clashes:
        if len(paths) == 1:
            words.append(f"conflict with {one}: {described(paths[0])}")
        else:
            words.append(f"conflicts with {one}:\n" + "\n".join(f"- {described(path)}" for path in paths))
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {one}", "field": described(path)}
        for one, paths in clashes
        for path in paths
    ]
    noun = "conflict" if count == 1 else "conflicts"
    return ApiError(
        409, "Conflict", f"Apply failed with {count} {noun}: {chr(10).join(words)}", {"causes": causes}
    )
