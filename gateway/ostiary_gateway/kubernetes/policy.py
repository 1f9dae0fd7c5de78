"""The policy of a ModerationPolicy."""

from collections.abc import Callable, Mapping
from typing import NoReturn

from ostiary.v1.config_pb2 import ModerationPolicy
from ostiary.wire.errors import OstiaryError, Reason
from ostiary_gateway.brands.in_force import Brands
from ostiary_gateway.hashes.in_force import HashLists
from ostiary_gateway.kubernetes.acceptance import Acceptance
from ostiary_gateway.kubernetes.api_server import POLICIES, Json
from ostiary_gateway.kubernetes.last_known import Keep, keep_nothing
from ostiary_gateway.kubernetes.written import message_of
from ostiary_gateway.policy.in_force import PolicyInForce, put_in_force
from ostiary_gateway.policy_source import Beside
from ostiary_gateway.rules.pack import RulePack


class KubernetesPolicySource:
    """A policy that is an object, taken up when it changes; a bad one leaves the last good in force, and so
    does its removal. See PolicySource.
    """

    def __init__(
        self,
        name: str,
        packs: Mapping[str, RulePack],
        lists: Callable[[], HashLists],
        brands: Callable[[], Brands],
        acceptance: Acceptance,
        keep: Keep = keep_nothing,
    ) -> None:
        """`lists` and `brands` give what is in force beside it, and never raise; `keep` is given the object
        that is in force.
        """
        self.name = name
        self._packs = packs
        self._beside = Beside(lists, brands)
        self._acceptance = acceptance
        self._keep = keep
        self._written: PolicyInForce | None = None
        self.problem = f"there is no ModerationPolicy {name}"
        """Why there is no policy, in words; empty where there is one, old or new."""

    def policy(self) -> PolicyInForce:
        """The policy in force now; to be asked for once `problem` is empty."""
        if self._written is None:
            raise LookupError(self.problem)
        return self._beside.joined(self._written)

    def take_policies(self, objects: Mapping[str, Json]) -> None:
        """The ModerationPolicies of the namespace have changed."""
        written = objects.get(self.name)
        if written is None:
            return
        try:
            found = put_in_force(message_of(written, ModerationPolicy), self._packs)
        except ValueError as error:
            self._acceptance.say(POLICIES, written, str(error))
            if self._written is None:
                self.problem = f"ModerationPolicy {self.name}: {error}"
            return
        if self._written is None or found.sha256 != self._written.sha256:
            self._written = found
            self._keep(POLICIES, {self.name: written})
        self.problem = ""
        self._acceptance.say(POLICIES, written, "")

    def tried(self, message: ModerationPolicy) -> PolicyInForce:
        """What `message` would be in force. Raises ValueError."""
        policy = self.policy()
        return put_in_force(message, self._packs).beside(policy.lists, policy.brands)

    def put(self, message: ModerationPolicy) -> NoReturn:
        """Refused: the object is changed where it is. Raises OstiaryError."""
        raise OstiaryError(
            Reason.FAILED_PRECONDITION,
            f"The policy is the ModerationPolicy {self.name} of a Kubernetes cluster: change it there, such "
            "as with `kubectl apply`; a dry run says here what it would do",
        )
