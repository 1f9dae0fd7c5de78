"""Policies as they are written: what is refused, what the digest covers, and the shipped one."""

from importlib.resources import files

import pytest

from ostiary.v1.config_pb2 import ModerationPolicy
from ostiary_gateway.policy import in_force
from ostiary_gateway.rules import pack
from ostiary_gateway.rules.pack import RulePack

GOOD = """
name: default
version: "1"
rulePacks: [diversion]
policies:
  - policy: prohibited_ads
    labels:
      - label: qr_code
        steps: [{action: ACTION_BLOCK, threshold: 0.9}]
"""


@pytest.fixture(scope="module")
def packs() -> dict[str, RulePack]:
    return dict(pack.shipped())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: default", "name: De fault", "name: a DNS label"),
        ('version: "1"', 'version: ""', "version: "),
        ("[diversion]", "[diversions]", "there is no pack 'diversions'; there are: .*diversion"),
        ("[diversion]", "[diversion, diversion]", "rulePacks: 'diversion' is named twice"),
        ("action: ACTION_BLOCK", "action: ACTION_BAN", "ACTION_BAN"),
        (
            "action: ACTION_BLOCK",
            "action: ACTION_UNSPECIFIED",
            r"policies\[0\].labels\[0\].steps\[0\].action",
        ),
        ("threshold: 0.9", "threshold: 1.9", r"steps\[0\].threshold: a number above 0"),
        ("threshold: 0.9", "targetPrecision: 0", r"steps\[0\].target_precision"),
        ("threshold: 0.9", "targetPrecison: 0.9", "targetPrecison"),
        (", threshold: 0.9", "", "say when: threshold or targetPrecision"),
        ("threshold: 0.9", "threshold: 0.9, sources: [eyes]", r"sources: \['eyes'\] is none of"),
        ("label: qr_code", "label: ''", r"labels\[0\].label: a name"),
        ("policy: prohibited_ads", "policies: prohibited_ads", "policies"),
        ("policies:\n", "policies: []\nold:\n", "old"),
        ("name: default", "name: default\nname: other", "'name' is given twice"),
        ("name: default", "name: default\ndefaultTerritory: germany", "defaultTerritory"),
    ],
)
def test_a_bad_policy_is_refused_in_words(packs: dict[str, RulePack], old: str, new: str, words: str) -> None:
    """Each mistake is named with its place."""
    in_force.load(GOOD, packs)
    with pytest.raises(ValueError, match=words):
        in_force.load(GOOD.replace(old, new), packs)


def test_a_policy_that_judges_nothing_is_refused(packs: dict[str, RulePack]) -> None:
    """It would allow everything."""
    with pytest.raises(ValueError, match="allow everything"):
        in_force.load('name: a\nversion: "1"', packs)


def test_the_digest_covers_the_policy_and_its_packs(packs: dict[str, RulePack]) -> None:
    """Any change of either shows in receipts; the way it is written does not."""
    digest = in_force.load(GOOD, packs).sha256
    assert len(digest) == 32
    assert in_force.load(GOOD.replace("rulePacks", "rule_packs") + "# a remark\n", packs).sha256 == digest
    assert in_force.load(GOOD.replace("0.9", "0.8"), packs).sha256 != digest
    text = (files("ostiary_gateway") / "rules/packs/diversion.yaml").read_text(encoding="utf-8")
    changed = {"diversion": pack.load(text + "# changed\n")}
    assert in_force.load(GOOD, changed).sha256 != digest


def test_the_shipped_policy(packs: dict[str, RulePack]) -> None:
    """It requires what the embedded bundle can judge, and does without what it cannot."""
    text = (files("ostiary_gateway") / "defaults/policy.yaml").read_text(encoding="utf-8")
    policy = in_force.load(text, packs)
    assert isinstance(policy.message, ModerationPolicy)
    assert policy.label == "default@1"
    assert {rule.policy: rule.optional for rule in policy.message.policies} == {
        "prohibited_ads": False,
        "nudity": True,
        "logo_infringement": True,
        "listing_accuracy": True,
    }
