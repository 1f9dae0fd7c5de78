"""Who may do what, by Roles and their bindings; and the reviews that ask."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ostiary_operator.sandbox.api.request import Caller
from ostiary_operator.sandbox.api.store import Store
from ostiary_operator.sandbox.api.values import at

Json = dict[str, Any]
_GROUP = "rbac.authorization.k8s.io"
_FOR_EVERYBODY = (
    "/healthz",
    "/livez",
    "/readyz",
    "/version",
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/openapi/*",
)

_ABOUT_ONESELF = frozenset(
    (
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authentication.k8s.io", "selfsubjectreviews"),
    )
)
"""Reviews that everybody may ask for."""


@dataclass(frozen=True)
class Question:
    """What somebody wants to do."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def plural(self) -> str:
        """The resource as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def denied(self, caller: Caller) -> str:
        """Why it is refused, in Kubernetes' words."""
        if self.path:
            return f'User "{caller.name}" cannot {self.verb} path "{self.path}"'
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        what = f'resource "{self.plural}" in API group "{self.group}"'
        return f'User "{caller.name}" cannot {self.verb} {what} {where}'


class Authorizer:
    """Decides by the RBAC objects in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def allows(self, caller: Caller, question: Question) -> bool:
        """Whether the caller may do it."""
        if "system:masters" in caller.groups:
            return True
        if question.path:
            if any(_path_matches(one, question.path) for one in _FOR_EVERYBODY) and question.verb == "get":
                return True
        elif question.verb == "create" and (question.group, question.resource) in _ABOUT_ONESELF:
            return True
        return any(_rule_allows(rule, question) for rule in self.rules(caller, question.namespace))

    def rules(self, caller: Caller, namespace: str) -> Iterator[Json]:
        """The rules that hold for a caller in a namespace."""
        for binding in self._store.objects(f"clusterrolebindings.{_GROUP}"):
            if _binds(binding, caller, ""):
                yield from self._role(binding["roleRef"], "")
        if namespace:
            for binding in self._store.objects(f"rolebindings.{_GROUP}", namespace):
                if _binds(binding, caller, namespace):
                    yield from self._role(binding["roleRef"], namespace)

    def _role(self, reference: Json, namespace: str) -> list[Json]:
        if reference["kind"] == "ClusterRole":
            found = self._store.get(f"clusterroles.{_GROUP}", ("", reference["name"]))
        else:
            found = self._store.get(f"roles.{_GROUP}", (namespace, reference["name"]))
        return (found.data.get("rules") or []) if found else []

    def review(self, caller: Caller, body: Json) -> Json:
        """The answer to a (Self)SubjectAccessReview."""
        spec = body.get("spec") or {}
        subject = caller
        if spec.get("user") or spec.get("groups"):
            subject = Caller(spec.get("user", ""), tuple(spec.get("groups") or ()))
        if wanted := spec.get("nonResourceAttributes"):
            question = Question(wanted.get("verb", ""), path=wanted.get("path", ""))
        else:
            wanted = spec.get("resourceAttributes") or {}
            words = ("verb", "group", "version", "resource", "subresource", "namespace", "name")
            question = Question(**{word: wanted.get(word, "") for word in words})
        allowed = self.allows(subject, question)
        status: Json = {"allowed": allowed}
        if not allowed:
            status["reason"] = question.denied(subject)
        return body | {"status": status}

    def rules_review(self, caller: Caller, body: Json) -> Json:
        """The answer to a SelfSubjectRulesReview."""
        namespace = at(body, "spec", "namespace", default="default")
        everything: Json = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        rules = [everything] if "system:masters" in caller.groups else list(self.rules(caller, namespace))
        status = {
            "resourceRules": [rule for rule in rules if rule.get("resources")],
            "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
            "incomplete": False,
        }
        return body | {"status": status}


def _binds(binding: Json, caller: Caller, namespace: str) -> bool:
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name")
        if (kind == "User" and name == caller.name) or (kind == "Group" and name in caller.groups):
            return True
        account = f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
        if kind == "ServiceAccount" and caller.name == account:
            return True
    return False


def _rule_allows(rule: Json, question: Question) -> bool:
    if not _has(rule.get("verbs"), question.verb):
        return False
    if question.path:
        return any(_path_matches(one, question.path) for one in rule.get("nonResourceURLs") or ())
    if not _has(rule.get("apiGroups"), question.group):
        return False
    resources = rule.get("resources") or ()
    if not any(
        one in ("*", question.plural) or (question.subresource and one == f"*/{question.subresource}")
        for one in resources
    ):
        return False
    names = rule.get("resourceNames")
    return not names or question.name in names


def _has(words: Any, word: str) -> bool:
    return any(one in ("*", word) for one in words or ())


def _path_matches(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return path == pattern
