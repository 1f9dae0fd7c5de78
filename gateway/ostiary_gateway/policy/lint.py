"""What is wrong with a policy's file, and what in it may not be meant. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ostiary.v1.config_pb2 import ActionStep, Fallback, LabelRule
from ostiary_gateway.policy import fallback, in_force
from ostiary_gateway.policy.in_force import PolicyInForce
from ostiary_gateway.rules.pack import RulePack
from ostiary_gateway.rules.problem import Lines, Problem
from ostiary_gateway.strict_yaml import BadYaml

_PATH = re.compile(r"(?P<path>[A-Za-z]+(\[\d+\])?(\.[A-Za-z]+(\[\d+\])?)*): ")
_STEP = re.compile(r"[A-Za-z]+|\d+")
# What the parser of messages says of words that it does not know: it names them, and not where they stand.
_UNKNOWN = re.compile(r'no field named "(?P<field>\w+)"|enum value (?P<value>\w+)')


@dataclass(frozen=True)
class Linted:
    """A file that was read.

    Attributes:
        policy: what it holds; None where it is bad.
        problems: why a gateway refuses it.
        remarks: what a gateway takes, and the author should look at.
    """

    policy: PolicyInForce | None
    problems: tuple[Problem, ...] = ()
    remarks: tuple[Problem, ...] = ()


def lint(text: str, packs: Mapping[str, RulePack]) -> Linted:
    """Read a policy as a gateway would."""
    try:
        policy = in_force.load(text, packs)
    except BadYaml as bad:
        return Linted(None, (Problem(bad.line, bad.reason),))
    except ValueError as error:
        return Linted(None, (_placed(text, str(error)),))
    return Linted(policy, (), tuple(_placed(text, words) for words in _remarks(policy)))


def _placed(text: str, words: str) -> Problem:
    """Words that begin with the path of a field, at its line."""
    if found := _PATH.match(words):
        steps = [int(part) if part.isdigit() else part for part in _STEP.findall(found["path"])]
        return Lines(text).problem(steps, words)
    if found := _UNKNOWN.search(words):
        word = re.compile(rf"\b{found['field']}\s*:" if found["field"] else rf"\b{found['value']}\b")
        lines = enumerate(text.splitlines(), 1)
        return Problem(next((number for number, line in lines if word.search(line)), 1), words)
    return Problem(1, words)


def _remarks(policy: PolicyInForce) -> Iterator[str]:
    message = policy.message
    if message.failure.allow_without_model:
        yield (
            "failure.allowWithoutModel: checks that no model looked at may be ALLOW; their receipts say "
            "cheapTier"
        )
    for index, rule in enumerate(message.policies):
        here = f"policies[{index}]"
        if fallback.on_unsupported(rule) == Fallback.FALLBACK_CHEAP_TIER:
            why = "is judged without the model for as long as no bundle can judge it"
            yield f"{here}.onUnsupported: {rule.policy} {why}"
        for number, label in enumerate(rule.labels):
            yield from _never_taken(f"{here}.labels[{number}]", label)
        named = {label.label for label in rule.labels}
        unnamed = sorted({each for pack in policy.packs for each in _labels(pack, rule.policy)} - named)
        if unnamed:
            yield f"{here}.labels: rule packs find {', '.join(unnamed)}, which is not named here: noted alone"


def _labels(pack: RulePack, policy: str) -> set[str]:
    return {rule.label for rule in pack.rules if rule.policy == policy}


def _never_taken(path: str, label: LabelRule) -> Iterator[str]:
    """Steps that another takes the place of, wherever they are reached."""
    for number, step in enumerate(label.steps):
        over = next((each for each in label.steps if each is not step and _covers(each, step)), None)
        if over is not None:
            place = list(label.steps).index(over)
            yield f"{path}.steps[{number}]: never counts: steps[{place}] is graver and reached no later"


def _covers(graver: ActionStep, step: ActionStep) -> bool:
    """Whether `graver` is taken wherever `step` is."""
    when = step.WhichOneof("when")
    if graver.action <= step.action or graver.WhichOneof("when") != when:
        return False
    earlier = graver.threshold <= step.threshold and graver.target_precision <= step.target_precision
    conditional = graver.categories or graver.except_categories or graver.except_seen
    anywhere = not graver.sources or (step.sources and set(step.sources) <= set(graver.sources))
    return bool(earlier and not conditional and anywhere)
