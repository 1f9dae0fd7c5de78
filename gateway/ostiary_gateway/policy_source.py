"""Where the moderation policy comes from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from ostiary_gateway.hashes.in_force import HashLists
from ostiary_gateway.list_source import no_lists
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

    def __init__(
        self,
        path: Path,
        packs: Mapping[str, RulePack],
        clock: Callable[[], float],
        lists: Callable[[], HashLists] = no_lists,
    ) -> None:
        """Read the policy; `lists` gives the hash lists in force beside it, and never raises.

        Raises:
            ValueError: the file is missing or bad; the message says where.
        """
        self._file = WatchedFile(path, lambda text: in_force.load(text, packs), clock=clock)
        self._lists = lists
        self._written = self._file.current()
        self._joined = self._written.with_lists(lists())

    def policy(self) -> PolicyInForce:
        """The policy in force now."""
        written, lists = self._file.current(), self._lists()
        if written is not self._written or lists is not self._joined.lists:
            self._written, self._joined = written, written.with_lists(lists)
        return self._joined
