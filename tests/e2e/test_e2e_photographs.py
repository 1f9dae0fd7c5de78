"""Photographs as sellers take them are answered in full."""

from typing import Any

from e2e.local_stack import LocalStack
from photographs import needs_photographs, some

ATTRIBUTES = {"category", "colour", "pattern", "style", "material", "audience", "scene", "styling"}


def is_full(response: dict[str, Any]) -> bool:
    """Whether an answer has all that a readable photograph deserves."""
    receipt = response["receipt"]
    return bool(
        response["description"]["text"]
        and {each["name"] for each in response["attributes"]} == ATTRIBUTES
        and response["images"][0]["sha256"]
        and receipt["bundle"]["weightsDigest"]
        and receipt["checkpoint"]
    )


@needs_photographs
def test_photographs_are_answered_in_full(stack: LocalStack) -> None:
    """Verdict, description, all attributes, canonical image and receipt for each; none held, none blocked."""
    code, lines = stack.check(*some(12))
    assert code in {0, 3}, lines
    verdicts = {line["response"]["verdict"] for line in lines}
    assert verdicts <= {"VERDICT_ALLOW", "VERDICT_REVIEW"}
    assert all(is_full(line["response"]) for line in lines)
