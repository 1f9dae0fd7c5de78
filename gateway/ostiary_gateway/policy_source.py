"""Where the moderation policy comes from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from ostiary_gateway.policy import in_force
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.rules.pack import RulePack
from ostiary_gateway.watched import WatchedFile


class PolicySource(Protocol):
    """Gives the policy that decisions are made under."""

    def policy(self) -> PolicyInForce:
        """The policy in force now; never raises."""
        ...


class FilePolicySource:
    """A policy in a file; a change takes effect within a second, a bad one leaves the last good in force."""

    def __init__(self, path: Path, packs: Mapping[str, RulePack], clock: Callable[[], float]) -> None:
        """Read the policy.

        Raises:
            ValueError: the file is missing or bad; the message says where.
        """
        self._file = WatchedFile(path, lambda text: in_force.load(text, packs), clock=clock)

    def policy(self) -> PolicyInForce:
        """The policy in force now."""
        return self._file.current()
