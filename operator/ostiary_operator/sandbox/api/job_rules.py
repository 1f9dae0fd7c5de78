"""What Kubernetes refuses of Jobs, and what the sandbox does not run, each in words."""

from typing import Any

from ostiary_operator.sandbox.api.field_checks import IMMUTABLE, Errors, not_negative, one_of
from ostiary_operator.sandbox.api.status import forbidden_field, invalid_value, unsupported
from ostiary_operator.sandbox.api.values import at, same

Json = dict[str, Any]
_COUNTS = ("parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
_FIXED = ("completions", "selector", "completionMode", "podFailurePolicy")


def check_job(new: Json, old: Json | None) -> Errors:
    """Of a Job that has a template, apart from what every pod's spec has to be."""
    spec: Json = new["spec"]
    errors = not_negative(spec, _COUNTS, "spec")
    policy = at(spec, "template", "spec", "restartPolicy")
    if policy not in ("OnFailure", "Never"):
        errors.append(unsupported("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never")))
    if spec.get("completionMode") != "NonIndexed":
        errors.append(forbidden_field("spec.completionMode", "the sandbox runs Jobs that are NonIndexed"))
    if spec.get("completions") is None:
        detail = "the sandbox runs Jobs that say how many pods have to succeed"
        errors.append(forbidden_field("spec.completions", detail))
    errors += _failure_policy(spec, policy)
    return errors if old is None else errors + _changed(spec, old["spec"])


def _changed(spec: Json, before: Json) -> Errors:
    fixed = _FIXED if before.get("suspend") else (*_FIXED, "template")
    return [
        invalid_value(f"spec.{name}", spec.get(name), IMMUTABLE)
        for name in fixed
        if not same(spec.get(name), before.get(name))
    ]


def _failure_policy(spec: Json, restarts: Any) -> Errors:
    if spec.get("podFailurePolicy") is None:
        return []
    errors: Errors = []
    if restarts != "Never":
        detail = 'only "Never" is supported when podFailurePolicy is specified'
        errors.append(invalid_value("spec.template.spec.restartPolicy", restarts, detail))
    for index, rule in enumerate(at(spec, "podFailurePolicy", "rules", default=[])):
        errors += _failure_rule(rule, f"spec.podFailurePolicy.rules[{index}]")
    return errors


def _failure_rule(rule: Json, path: str) -> Errors:
    errors = one_of(rule.get("action"), ("Count", "FailJob", "Ignore"), f"{path}.action")
    if bool(rule.get("onExitCodes")) == bool(rule.get("onPodConditions")):
        detail = "specifying one of OnExitCodes and OnPodConditions is required"
        errors.append(invalid_value(path, rule, detail))
    if codes := rule.get("onExitCodes"):
        errors += one_of(codes.get("operator"), ("In", "NotIn"), f"{path}.onExitCodes.operator")
        if not codes.get("values"):
            detail = "at least one value is required"
            errors.append(invalid_value(f"{path}.onExitCodes.values", codes.get("values"), detail))
    return errors
