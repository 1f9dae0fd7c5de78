"""What a change of a policy, a registry or a list would do, or has done. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from ostiary.v1.admin_pb2 import ChangeReport


@dataclass(frozen=True, slots=True)
class Edition:
    """One version of something, and the SHA-256 of what it holds (32 bytes)."""

    version: str
    sha256: bytes


def stale(before: Edition | None, after: Edition) -> list[str]:
    """Why an edition cannot follow another, in words: what receipts call one version stays one thing."""
    if before is None or before.version != after.version or before.sha256 == after.sha256:
        return []
    return [
        f"version: {after.version!r} is in force already, with other content; give the change a new version"
    ]


def report(
    before: Edition | None, after: Edition | None, problems: Sequence[str] = (), *, dry_run: bool = False
) -> ChangeReport:
    """The report of a change from `before` to `after`; with `problems`, `before` is what stays in force."""
    held = before if problems else after
    return ChangeReport(
        before=before.version if before else "",
        after=held.version if held else "",
        sha256=held.sha256 if held else b"",
        problems=problems,
        dry_run=dry_run,
    )
