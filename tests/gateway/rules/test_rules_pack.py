"""Rule packs: what is refused, and what the shipped one does with texts nobody wrote for it."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from ostiary.v1.image_pb2 import Box, Region
from ostiary.v1.observation_pb2 import OcrSpan
from ostiary_gateway.rules import pack
from ostiary_gateway.rules.document import Document, of_spans
from ostiary_gateway.rules.matcher import match_documents
from ostiary_gateway.rules.pack import RulePack
from ostiary_gateway.rules.problem import BadPack
from ostiary_gateway.rules.source import parse

SHIPPED = pack.shipped_texts()
LABELS = {
    "qr_code",
    "contact_details",
    "off_platform",
    "absolute_claim",
    "medical_claim",
    "prohibited_goods",
}
MINIMAL = """
name: tiny
version: "1"
rules:
  - id: tiny.word
    policy: prohibited_ads
    label: contact_details
    patterns: ['secret']
    seller_reason: Change it.
    matches: ['a secret']
    ignores: ['nothing']
"""
# What stands on garments, tags, size charts and photographs.
HARMLESS = [
    "42 44 46 48 50 52",
    "S M L XL XXL 3XL",
    "36 37 38 39 40 41 42 43 44",
    "胸围 96 100 104 108 112",
    "肩宽 38.5 衣长 65.5 袖长 58",
    "2019-08-12",
    "2019.08.12 14:23:05",
    "AUG 12 2019 08:15",
    "'19 8 12",
    "TEAM 23 LAKE SIDE 1984",
    "NO.10",
    "BROOKLYN NEW YORK EST. 1898",
    "JUST BE HAPPY",
    "100% 棉 30°C 手洗",
    "6 901234 567892",
    "ISBN 978-3-16-148410-0",
    "Model: AB-1234567",
    "1080P 60FPS 4K",
    "8GB+256GB",
    "iPhone 15 Pro Max",
    "一件代发 两件包邮",
    "五星好评 十年质保",
    "A+ B+ C+",
    "24/7",
    "$1,299.00",
    "¥139.00",
    "9.9包邮",
    "www",
    "V领短袖",
    "QQ糖",
    "加厚加绒",
    "RMB 138.00 139.00 159.00",
    "W 1200 x D 600 x H 750",
    "LOVE 5201314",
    "NASA APOLLO 11 1969-07-20",
]


@pytest.fixture(scope="module")
def diversion() -> RulePack:
    return pack.shipped()["diversion"]


@pytest.fixture(scope="module")
def shipped() -> list[RulePack]:
    return list(pack.shipped().values())


@pytest.mark.parametrize("field", ["image", "description"])
@pytest.mark.parametrize("text", HARMLESS)
def test_what_stands_on_products_is_left_alone(shipped: Sequence[RulePack], text: str, field: str) -> None:
    """Prints, size charts, dates and prices are neither contact details nor claims."""
    document = Document(field, text, 0 if field == "image" else None)
    assert not match_documents(shipped, [document])


def test_all_of_it_together_is_left_alone(shipped: Sequence[RulePack]) -> None:
    """Joining harmless lines makes nothing of them."""
    assert not match_documents(shipped, [Document("image", "\n".join(HARMLESS), 0)])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("matches: ['a secret']", "matches: ['no match']"), "does not match its own case 'no match'"),
        (("ignores: ['nothing']", "ignores: ['secrets']"), "matches 'secrets', which it should ignore"),
        (("    ignores: ['nothing']\n", ""), "ignores: give at least one"),
        (("label: contact_details", "lable: contact_details"), "rules.0.lable"),
        (("patterns: ['secret']", "patterns: ['secret(']"), "not a regular expression"),
        (('version: "1"', "version: 1"), "version"),
        (('version: "1"', 'version: "1"\nversion: "2"'), "line 4: 'version' is given twice"),
        (
            ("patterns: ['secret']", "patterns: ['secret']\n    exceptions: ['*']"),
            "line 9: rule tiny.word: exceptions",
        ),
        (
            ("label: contact_details", "severity: fatal\n    label: contact_details"),
            "line 7: rules.0.severity",
        ),
        (
            ("label: contact_details", "severity: note\n    score: 0.5\n    label: l"),
            "give severity or score, not both",
        ),
        (("rules:\n", "rules: []\nold:\n"), "line 4: rules"),
        (
            ("    seller", "    formats: [QRCode]\n    seller"),
            "give formats to a rule whose one field is barcode",
        ),
        (
            ("    seller", "    fields: [title, barcode]\n    formats: [QRCode]\n    seller"),
            "and to no other",
        ),
        (
            ("    seller", "    fields: [barcode]\n    seller"),
            "give formats to a rule whose one field is barcode",
        ),
        (("policy: prohibited_ads", "score: 1.5\n    policy: prohibited_ads"), "rules.0.score"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[1],
)
def test_a_bad_pack_is_refused_in_words(change: tuple[str, str], words: str) -> None:
    """A pack whose own cases fail, or that says what no pack can say, is never applied."""
    pack.load(MINIMAL)
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        pack.load(MINIMAL.replace(*change))


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (("matches: ['a secret']", "matches:\n      - 'secret'\n      - 'no match'"), [12]),
        (("ignores: ['nothing']", "ignores: ['secrets', 'fine', 'a secret']"), [11, 11]),
        (("    ignores: ['nothing']\n", ""), [5]),
        (("patterns: ['secret']", "patterns:\n      - 'fine'\n      - 'secret('\n      - '['"), [10, 11]),
        (("label: contact_details", "lable: contact_details"), [5, 7]),
        (("name: tiny", "name: tiny\n  x: : y"), [3]),
    ],
    ids=["case", "two cases on a line", "no cases", "two patterns", "missing and unknown field", "no YAML"],
)
def test_each_problem_has_its_line(change: tuple[str, str], lines: list[int]) -> None:
    """Somebody who writes a pack is led to all that is wrong with it at once."""
    with pytest.raises(BadPack) as refused:
        pack.load(MINIMAL.replace(*change))
    assert [problem.line for problem in refused.value.problems] == lines


@pytest.mark.parametrize(
    ("written", "score", "severity"),
    [
        ("severity: block", 1.0, "block"),
        ("severity: review", 0.6, "review"),
        ("severity: note", 0.3, "note"),
        ("score: 0.95", 0.95, "block"),
        ("score: 0.7", 0.7, "review"),
        ("article: ''", 1.0, "block"),
    ],
)
def test_severity_and_score(written: str, score: float, severity: str) -> None:
    """A severity is a score by name, and every score has a severity."""
    [rule] = pack.load(MINIMAL.replace("label: contact_details", f"{written}\n    label: l")).rules
    assert (rule.score, rule.severity) == (score, severity)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_a_shipped_pack_owes(name: str) -> None:
    """Three texts left alone for each rule on texts, an article for each rule of law, documented labels."""
    written = parse(SHIPPED[name])
    for rule in written.rules:
        assert rule.formats or len(rule.ignores) >= 3, rule.id
        assert bool(rule.article) == bool(written.jurisdiction), rule.id
        assert (rule.policy, rule.label) in {("prohibited_ads", label) for label in LABELS}, rule.id


@pytest.mark.parametrize("name", SHIPPED)
def test_sellers_learn_no_words_of_a_pack(name: str) -> None:
    """The sentence for the seller holds nothing that any rule of the pack matches, and no number."""
    made = pack.load(SHIPPED[name])
    for rule in made.rules:
        document = Document("description", rule.seller_reason)
        assert not match_documents([made], [document]), rule.id
        assert not any(character.isdigit() for character in rule.seller_reason), rule.id


def test_the_digest_follows_the_text() -> None:
    """Receipts tell one state of a pack from another."""
    assert pack.load(MINIMAL).digest != pack.load(MINIMAL + "# changed\n").digest
    assert len(pack.load(MINIMAL).digest) == 32


@pytest.mark.parametrize(
    "unit",
    [
        "1 ",
        "1",
        "a.",
        "加",
        "微 信 ",
        "x@",
        "(1) ",
        "+1 ",
        "v",
        "scan ",
        "a-",
        "一",
        "http:",
        "qq",
        "1-",
        "\n1 3",
        "buy weed x ",
        "best in ",
        "no.1",
        "治疗",
        "全国最",
        "one ",
        "not intended to ",
        "国家级,",
    ],
)
def test_hostile_texts_cost_little(shipped: Sequence[RulePack], unit: str) -> None:
    """The longest text allowed, however made up, is matched within a second: no pattern backtracks far."""
    text = (unit * 20_000)[:20_000]
    started = time.process_time()
    match_documents(shipped, [Document("description", text)])
    assert time.process_time() - started < 1


def test_a_text_of_everything_costs_little(shipped: Sequence[RulePack]) -> None:
    """As many statements as a description can hold, one after another, are judged within two seconds."""
    cases = [case for text in SHIPPED.values() for rule in parse(text).rules for case in rule.matches]
    text = " ".join(cases * 10)[:20_000]
    started = time.process_time()
    assert len(match_documents(shipped, [Document("description", text)])) > 40
    assert time.process_time() - started < 2


def test_an_image_full_of_text_costs_little(diversion: RulePack) -> None:
    """Two thousand spans of contacts, side by side and below one another, are matched within two seconds."""
    spans = [
        OcrSpan(
            text="微信：abc12345",
            region=Region(box=Box(x=x * 100, y=y * 12, width=90, height=20)),
        )
        for x in range(20)
        for y in range(100)
    ]
    started = time.process_time()
    [match] = match_documents([diversion], of_spans(spans))
    assert len(match.regions) == 2_000
    assert time.process_time() - started < 2


def test_the_documented_rule() -> None:
    """What docs/rules.md shows how to write is a rule."""
    page = (Path(__file__).parents[3] / "docs/rules.md").read_text(encoding="utf-8")
    rule = page.split("```yaml\n")[1].split("```")[0]
    assert pack.load(f'name: shown\nversion: "1"\nrules:\n{rule}').rules[0].severity == "block"
