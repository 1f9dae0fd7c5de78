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
        self._lists = lists
        self._brands = brands
        self._written = self._file.current()
        self._joined = self._written.beside(lists(), brands())

    def policy(self) -> PolicyInForce:
        """The policy in force now."""
        written, lists, brands = self._file.current(), self._lists(), self._brands()
        joined = self._joined
        if written is not self._written or lists is not joined.lists or brands is not joined.brands:
            self._written, self._joined = written, written.beside(lists, brands)
        return self._joined

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
