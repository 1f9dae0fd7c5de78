"""Matching: evidence quoted as it stood, regions named, barcodes judged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1.image_pb2 import Box, Region
from ostiary.v1.listing_pb2 import Listing
from ostiary.v1.observation_pb2 import Barcode, OcrSpan
from ostiary_gateway.rules import pack
from ostiary_gateway.rules.document import of_listing, of_spans
from ostiary_gateway.rules.matcher import Match, match_barcodes, match_documents

DIVERSION = pack.shipped()["diversion"]


def span(text: str, x: int, y: int, width: int = 100, height: int = 20, image: int = 0) -> OcrSpan:
    box = Box(x=x, y=y, width=width, height=height)
    return OcrSpan(text=text, confidence=0.9, region=Region(image_index=image, box=box))


def in_images(*spans: OcrSpan) -> list[Match]:
    return match_documents([DIVERSION], of_spans(spans))


def ids(matches: list[Match]) -> list[str]:
    return [match.rule.id for match in matches]


@pytest.mark.parametrize(
    ("text", "rule", "quoted"),
    [
        ("Nice cup. 加Ｖ❤ now", "contact.wechat_invitation", "加Ｖ❤"),
        ("call me: lily@example.com!", "contact.email", "lily@example.com"),
        ("Ring 138-0013-8000 today", "contact.phone_cn", "138-0013-8000"),
        ("電話：1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣ 謝謝", "contact.phone", "電話：1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7"),
        ("on wh4tsapp: +44 20 7946 0958", "contact.whatsapp", "wh4tsapp: +44 20 7946 0958"),
        ("W.e.C.h.a.t: lily8866", "contact.wechat", "W.e.C.h.a.t: lily8866"),
    ],
)
def test_evidence_is_quoted_as_it_stood(text: str, rule: str, quoted: str) -> None:
    """A person who checks a finding sees the seller's own spelling."""
    [match] = match_documents([DIVERSION], of_listing(Listing(description=text)))
    assert match.rule.id == rule
    assert match.source == "text"
    assert match.evidence.matched_text.strip() == quoted
    assert (match.evidence.field, match.evidence.pack) == ("description", "diversion@1")


def test_a_contact_in_two_spans_side_by_side() -> None:
    """The app's name here, the account there: together they are a contact, and both places are named."""
    [match] = in_images(span("fashion_8899", 130, 10), span("微信：", 10, 12))
    assert match.rule.id == "contact.wechat"
    assert [region.box.x for region in match.regions] == [10, 130]


def test_a_contact_in_two_lines() -> None:
    """The account below the app's name is joined too."""
    [match] = in_images(span("WeChat", 10, 10), span("abc12345", 12, 34))
    assert match.rule.id == "contact.wechat"
    assert len(match.regions) == 2


@pytest.mark.parametrize(
    "spans",
    [
        [span("微信", 10, 10), span("abc12345", 900, 10)],
        [span("微信", 10, 10), span("abc12345", 10, 400)],
        [span("微信", 10, 10), span("abc12345", 10, 34, image=1)],
    ],
    ids=["far right", "far below", "another image"],
)
def test_what_stands_apart_is_not_joined(spans: list[OcrSpan]) -> None:
    """Only neighbours make up a contact; the name alone is a mention."""
    assert ids(in_images(*spans)) == ["contact.wechat_mention"]


def test_size_chart_columns_do_not_make_a_number() -> None:
    """Columns of numbers side by side and below one another stay a size chart."""
    rows = [span(str(38 + 2 * column), 60 * column, 30 * row, 40) for row in range(4) for column in range(8)]
    assert not in_images(*rows)


def test_the_stronger_rule_speaks_for_both() -> None:
    """A complete contact is not reported a second time as a mention of the app."""
    assert ids(in_images(span("微信：fashion_8899", 0, 0))) == ["contact.wechat"]


def test_one_match_per_rule_and_image_names_all_places() -> None:
    """A number repeated over an image is one match with every region."""
    [match] = in_images(span("13800138000", 0, 0), span("13800138000", 0, 300), span("13900139000", 0, 600))
    assert [region.box.y for region in match.regions] == [0, 300, 600]


@pytest.mark.parametrize(
    ("format_name", "payload", "rule"),
    [
        ("QRCode", "https://shop.example.com/a", "qr.url"),
        ("QRCode", "WXP://f2f0abc", "qr.payment"),
        ("QRCode", "weixin://wxpay/bizpayurl?pr=1", "qr.payment"),
        ("QRCode", "https://qr.alipay.com/fkx1", "qr.payment"),
        ("QRCode", "BEGIN:VCARD\nFN:Lily\nEND:VCARD", "qr.contact"),
        ("QRCode", "tel:+8613800138000", "qr.contact"),
        ("QRCode", "https://u.wechat.com/abc", "qr.contact"),
        ("MicroQRCode", "SN:1", "qr.other"),
        ("QRCode", "", "qr.other"),
        ("DataMatrix", "https://shop.example.com", "qr.url"),
        ("DataMatrix", "01034531200000111719112510ABCD1234", None),
        ("EAN13", "6901234567892", None),
        ("Code128", "https://shop.example.com", None),
    ],
)
def test_barcodes(format_name: str, payload: str, rule: str | None) -> None:
    """What a code holds decides; trade barcodes of products are none of these rules' business."""
    barcode = Barcode(format=format_name, text=payload, region=Region(box=Box(width=9, height=9)))
    matches = match_barcodes([DIVERSION], [barcode])
    assert ids(matches) == ([rule] if rule else [])
    assert all(match.barcode == barcode and match.source == "barcode" for match in matches)


@given(st.lists(st.builds(span, st.text(max_size=30), *[st.integers(0, 4000)] * 2), max_size=12))
def test_regions_are_those_of_the_spans_that_matched(spans: list[OcrSpan]) -> None:
    """Whatever is read, a match in an image names at least one region, and only regions that were read."""
    boxes = {item.region.SerializeToString() for item in spans}
    for match in in_images(*spans):
        assert match.regions
        assert {region.SerializeToString() for region in match.regions} <= boxes


def test_the_stronger_rule_wins_wherever_it_stands_in_the_pack() -> None:
    """The order in which rules are written does not decide which one speaks."""
    rule = """
  - id: {id}
    policy: p
    label: l
    score: {score}
    patterns: ['{pattern}']
    seller_reason: Change it.
    matches: ['{pattern}']
    ignores: ['nothing']"""
    rules = rule.format(id="weak", score=0.5, pattern="word") + rule.format(
        id="strong", score=0.9, pattern="word 1"
    )
    made = pack.load(f'name: p\nversion: "1"\nrules:{rules}')
    assert ids(match_documents([made], of_listing(Listing(title="word 1")))) == ["strong"]
