"""Prohibited advertising: found where sellers write it, and not where a product only looks like it."""

from pathlib import Path

import pytest
import yaml

from ostiary_gateway.rules import pack
from ostiary_gateway.rules.document import Document
from ostiary_gateway.rules.matcher import Match, match_documents

PACKS = list(pack.shipped().values())
TEXTS = yaml.safe_load((Path(__file__).parents[2] / "data/adverts.yaml").read_text(encoding="utf-8"))


CLAIMS = [
    (field, label, text)
    for field, by_label in (("image", TEXTS["overlays"]), ("title", TEXTS["titles"]))
    for label, texts in by_label.items()
    for text in texts
]
HARMLESS = [(field, text) for field, texts in TEXTS["harmless"].items() for text in texts]


def found(text: str, field: str = "image") -> list[Match]:
    return match_documents(PACKS, [Document(field, text, 0 if field == "image" else None)])


@pytest.mark.parametrize(("field", "label", "text"), CLAIMS)
def test_claims_are_found(field: str, label: str, text: str) -> None:
    """Every claim is found under its label, and under no other."""
    assert {match.rule.label for match in found(text, field)} == {label}


@pytest.mark.parametrize(("field", "text"), HARMLESS)
def test_what_is_no_claim_is_left_alone(field: str, text: str) -> None:
    """Prints, labels, sizes, care instructions and honest listings match nothing."""
    assert not found(text, field)


def test_all_prints_on_one_image() -> None:
    """Lines below one another do not make a claim together."""
    assert not found("\n".join(TEXTS["harmless"]["image"]))


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("雪茄", {"title"}),
        ("Cigars", {"title"}),
        ("印有国徽的外套", {"title", "description"}),
        ("全网最低价", {"image", "title", "description"}),
    ],
)
def test_where_a_word_is_enough(text: str, fields: set[str]) -> None:
    """What a listing is called is what it sells; what an image shows may be a print."""
    assert {field for field in ("image", "title", "description") if found(text, field)} == fields


@pytest.mark.parametrize(
    ("text", "rule", "article"),
    [
        ("国家级品质", "absolute.national_level", "Advertising Law of the PRC, Art. 9(3)"),
        ("治疗关节炎", "medical.disease", "Advertising Law of the PRC, Art. 17"),
        ("电子烟批发", "goods.tobacco", "Advertising Law of the PRC, Art. 22"),
        ("Botox effect", "health.cosmetics", "Regulation (EU) 655/2013, Annex"),
        ("FDA approved", "health.authority", "FTC Act § 5 (15 U.S.C. 45)"),
    ],
)
def test_evidence_names_the_article(text: str, rule: str, article: str) -> None:
    """A reviewer reads which law the finding stands on."""
    [match] = found(f"- {text} -")
    assert (match.evidence.rule, match.evidence.article) == (rule, article)
    assert match.evidence.matched_text in text


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("本品國 家 級品質！", "國 家 級"),
        ("now c@nc3r? cures c@ncer!", "cures c@ncer"),
        ("全★网★最★低★价", "全★网★最★低"),
    ],
)
def test_disguised_claims_are_quoted_as_they_stood(text: str, quoted: str) -> None:
    """Evidence shows the seller's own spelling."""
    assert quoted in {match.evidence.matched_text for match in found(text)}
