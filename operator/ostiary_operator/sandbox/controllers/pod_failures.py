"""What a Job's podFailurePolicy says of a pod that has failed. Pure."""

from typing import Any

from ostiary_operator.sandbox.api.values import at

Json = dict[str, Any]


def ruled(spec: Json, pod: Json) -> tuple[str, str]:
    """What is done about a failed pod by the first rule that it matches, and in words why.

    `FailJob`, `Ignore` or `Count`; `Count` where no rule matches.
    """
    for index, rule in enumerate(at(spec, "podFailurePolicy", "rules", default=())):
        matched = _by_exit_code(rule.get("onExitCodes"), pod) or _by_condition(
            rule.get("onPodConditions"), pod
        )
        if matched:
            place = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            return rule["action"], f"{matched.format(place)} matching {rule['action']} rule at index {index}"
    return "Count", ""


def _by_exit_code(wanted: Json | None, pod: Json) -> str:
    if not wanted:
        return ""
    for one in at(pod, "status", "containerStatuses", default=()):
        code = at(one, "state", "terminated", "exitCode")
        # A container that ended well is nobody's failure.
        if not code or wanted.get("containerName") not in (None, one["name"]):
            continue
        if (code in wanted["values"]) is (wanted["operator"] == "In"):
            return f"Container {one['name']} for pod {{}} failed with exit code {code}"
    return ""


def _by_condition(wanted: list[Json] | None, pod: Json) -> str:
    for pattern in wanted or ():
        for one in at(pod, "status", "conditions", default=()):
            if (one["type"], one["status"]) == (pattern["type"], pattern.get("status", "True")):
                return f"Pod {{}} has condition {one['type']}"
    return ""
