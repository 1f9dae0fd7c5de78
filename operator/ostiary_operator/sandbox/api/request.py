"""Who asks, and how: what a request says beside the object itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ostiary_operator.sandbox.api.status import ApiError, FieldError, bad_request, invalid, invalid_value

Json = dict[str, Any]


@dataclass(frozen=True)
class Caller:
    """Somebody that was authenticated."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""

    @property
    def namespace(self) -> str:
        """Namespace of a service account; empty for anybody else."""
        parts = self.name.split(":")
        return parts[2] if self.name.startswith("system:serviceaccount:") and len(parts) == 4 else ""


SYSTEM = Caller("system:apiserver", ("system:masters", "system:authenticated"))


@dataclass(frozen=True)
class Write:
    """How a write is to be done."""

    caller: Caller = SYSTEM
    manager: str = "unknown"
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    """What unknown fields are: `Ignore`, `Warn` or `Strict`."""
    warnings: list[str] = field(default_factory=list)
    doubled: tuple[str, ...] = ()
    """Fields that the body has twice."""

    @classmethod
    def of(
        cls, query: Mapping[str, str], caller: Caller, agent: str, kind: str, doubled: Sequence[str] = ()
    ) -> "Write":
        """From a query; 422 for options that do not exist."""
        errors: list[FieldError] = []
        dry = query.get("dryRun", "")
        if dry not in ("", "All"):
            errors.append(_unsupported("dryRun", dry, ("All",)))
        validation = query.get("fieldValidation", "") or "Warn"
        if validation not in ("Ignore", "Warn", "Strict"):
            errors.append(_unsupported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn")))
        manager = query.get("fieldManager", "") or agent.partition("/")[0] or "unknown"
        if len(manager) > 128:
            errors.append(invalid_value("fieldManager", manager, "may not be more than 128 bytes"))
        if errors:
            raise options_invalid(kind, errors)
        force = query.get("force", "").lower() in ("true", "1")
        return cls(caller, manager[:128], dry == "All", force, validation, doubled=tuple(doubled))


def _unsupported(path: str, value: str, allowed: tuple[str, ...]) -> FieldError:
    words = ", ".join(f'"{one}"' for one in allowed)
    return FieldError(
        "FieldValueNotSupported", path, f'Unsupported value: "{value}": supported values: {words}'
    )


def options_invalid(kind: str, errors: list[FieldError]) -> ApiError:
    """422 for a request's options."""
    return invalid("meta.k8s.io", kind, "", errors)


@dataclass(frozen=True)
class Deletion:
    """How an object is to be deleted."""

    policy: str = ""
    grace: int | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False

    @classmethod
    def of(cls, body: Any, query: Mapping[str, str]) -> "Deletion":
        """From a DeleteOptions object, or from the query where there is no object."""
        if body is not None and not isinstance(body, dict):
            raise bad_request("a DeleteOptions object is wanted")
        options = body or {}
        if body is not None:
            query = {}
        policy = options.get("propagationPolicy") or query.get("propagationPolicy", "")
        if not policy and options.get("orphanDependents") is not None:
            policy = "Orphan" if options["orphanDependents"] else "Background"
        if policy and options.get("orphanDependents") is not None and options.get("propagationPolicy"):
            detail = "orphanDependents and deletionPropagation cannot be both set"
            raise options_invalid("DeleteOptions", [invalid_value("propagationPolicy", policy, detail)])
        if policy not in ("", "Background", "Foreground", "Orphan"):
            error = _unsupported("propagationPolicy", policy, ("Foreground", "Background", "Orphan"))
            raise options_invalid("DeleteOptions", [error])
        grace = options.get("gracePeriodSeconds")
        if grace is None and query.get("gracePeriodSeconds"):
            if not query["gracePeriodSeconds"].isdigit():
                raise bad_request(f"gracePeriodSeconds {query['gracePeriodSeconds']!r} is not a number")
            grace = int(query["gracePeriodSeconds"])
        dry = options.get("dryRun") or ([query["dryRun"]] if query.get("dryRun") else [])
        if dry not in ([], ["All"]):
            raise options_invalid("DeleteOptions", [_unsupported("dryRun", str(dry[0]), ("All",))])
        conditions = options.get("preconditions") or {}
        return cls(policy, grace, conditions.get("uid", ""), conditions.get("resourceVersion", ""), bool(dry))
