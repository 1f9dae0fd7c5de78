"""Where the moderation policy comes from."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import yaml
from google.protobuf import json_format

from ostiary.v1.config_pb2 import ModerationPolicy
from ostiary_gateway.brand_source import no_brands
from ostiary_gateway.brands.in_force import Brands
from ostiary_gateway.durable import replace_file
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


class EditablePolicySource(PolicySource, Protocol):
    """One that administrators can change, or are told where to."""

    def tried(self, message: ModerationPolicy) -> PolicyInForce:
        """What `message` would be in force. Raises ValueError, in words, where it is wrong."""
        ...

    def put(self, message: ModerationPolicy) -> None:
        """Put a policy that was found good in force, durably. Blocking.

        Raises:
            OSError: it cannot be written.
            OstiaryError: it is to be changed elsewhere.
        """
        ...


class Beside:
    """A policy as it is written, with the lists and registries in force; joined when any of them changes."""

    def __init__(self, lists: Callable[[], HashLists], brands: Callable[[], Brands]) -> None:
        """`lists` and `brands` never raise."""
        self._lists = lists
        self._brands = brands
        self._written: PolicyInForce | None = None
        self._joined: PolicyInForce | None = None

    def joined(self, written: PolicyInForce) -> PolicyInForce:
        """`written` beside what is in force now; the same object while nothing changes."""
        lists, brands, joined = self._lists(), self._brands(), self._joined
        fresh = joined is not None and lists is joined.lists and brands is joined.brands
        if joined is None or written is not self._written or not fresh:
            joined = written.beside(lists, brands)
            self._written, self._joined = written, joined
        return joined


class FilePolicySource:
    """A policy in a file; a change takes effect within a second, a bad one leaves the last good in force."""

    def __init__(
        self,
        path: Path,
        packs: Mapping[str, RulePack],
        clock: Callable[[], float],
        lists: Callable[[], HashLists] = no_lists,
        brands: Callable[[], Brands] = no_brands,
    ) -> None:
        """Read the policy; `lists` and `brands` give what is in force beside it, and never raise.

        Raises:
            ValueError: the file is missing or bad; the message says where.
        """
        self._path = path
        self._packs = packs
        self._file = WatchedFile(path, lambda text: in_force.load(text, packs), clock=clock)
        self._beside = Beside(lists, brands)

    def policy(self) -> PolicyInForce:
        """The policy in force now."""
        return self._beside.joined(self._file.current())

    def tried(self, message: ModerationPolicy) -> PolicyInForce:
        """What `message` would be in force.

        Raises:
            ValueError: in words: what is wrong where.
        """
        policy = self.policy()
        return in_force.put_in_force(message, self._packs).beside(policy.lists, policy.brands)

    def put(self, message: ModerationPolicy) -> None:
        """Write a policy that was found good durably, and put it in force; remarks in the file are lost.

        Raises:
            OSError: it cannot be written.
        """
        document = json_format.MessageToDict(message)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        replace_file(self._path, text.encode())
        self._file.look()
