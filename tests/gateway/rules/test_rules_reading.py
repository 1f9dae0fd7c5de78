"""The reading of a text: disguises seen through, all else left alone, and each character's origin kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.text.letters import fold
from ostiary.text.traditional import SIMPLIFIED
from ostiary_gateway.rules.normal import read

WORDS = frozenset({"viagra", "wechat", "whatsapp", "telegram", "size", "best", "cancer"})
# What sellers disguise with, and what must survive it.
DISGUISES = st.text(
    st.sampled_from("微信加国國級级最 .-·★vVｖⓋ🅥🇻1️⃣3８三零a4@$!1wWéа\u200b\n\x00，"), max_size=60
)


@pytest.mark.parametrize(
    ("disguised", "plain"),
    [
        ("ＶＸ：ａｂｃ", "vx:abc"),
        ("微 信", "微信"),
        ("微.信", "微信"),
        ("微★信", "微信"),
        ("7 天瘦 10 斤", "7天瘦10斤"),
        ("国\n家\n级\n品\n质", "国家级品质"),
        ("v\n国\n家\n级", "v\n国家级"),
        ("V 信", "v信"),
        ("W e C h a t", "wechat"),
        ("W.e.C.h.a.t", "wechat"),
        ("W-e-C-h-a-t", "wechat"),
        ("vх", "vx"),
        ("ᴡᴇᴄʜᴀᴛ", "wechat"),
        ("wéchàt", "wechat"),
        ("𝓌𝑒𝒸𝒽𝒶𝓉", "wechat"),
        ("一三八零零一三八零零零", "13800138000"),
        ("138\u200b0013\u200b8000", "13800138000"),
        ("①③⑧", "138"),
        ("138-0013-8OOO", "138-0013-8000"),
        ("❶➂➑⓿", "1380"),
        ("1️⃣3️⃣8️⃣", "138"),
        ("Ⓥ🅥🅅🆅🇻", "vvvvv"),
        ("🆔：lily", "id:lily"),
        ("國家級療效", "国家级疗效"),
        ("v1agra", "viagra"),
        ("V!@GR4", "viagra"),
        ("wh4tsapp", "whatsapp"),
        ("t3l3gr@m", "telegram"),
        ("c@ncer", "cancer"),
    ],
)
def test_disguises_are_seen_through(disguised: str, plain: str) -> None:
    """Disguised spellings read like plain ones."""
    assert read(disguised, WORDS).text == plain


@pytest.mark.parametrize(
    "text",
    [
        "一件代发",
        "i a m",
        "u.s.a.",
        "1080p 60fps",
        "12345 oil",
        "5xl 3xl 2xs",
        "1980 2024",
        "ab-1234567",
        "b357 bev3r4ge",
        "a4 paper",
        "8gb+256gb",
        "lily@example.com",
        "7 for all mankind",
        "5ize8",
        "@home",
        "$19.99",
        "大\n小\nxl",
        "国家\n级\n别",
        "s m l",
        "size 42!",
        "1234567 b3st1",
    ],
)
def test_what_is_no_disguise_stays(text: str) -> None:
    """Sizes, years, model numbers, accounts and prices are read as they stand."""
    assert read(text, WORDS).text == text


def test_digits_stay_digits_without_a_vocabulary() -> None:
    """Only a pack's own words are worth looking for."""
    assert read("v1agra").text == "v1agra"


@given(st.one_of(st.text(max_size=200), DISGUISES))
def test_every_character_of_a_reading_comes_from_the_text(text: str) -> None:
    """Evidence can always be quoted: origins are in the text and never run backwards."""
    reading = read(text, WORDS)
    assert len(reading.text) == len(reading.origin)
    assert list(reading.origin) == sorted(reading.origin)
    assert all(0 <= index < len(text) for index in reading.origin)


@given(st.one_of(st.text(max_size=60), DISGUISES), st.data())
def test_every_range_of_a_reading_has_its_place(text: str, data: st.DataObject) -> None:
    """The place of a range is in the text, is not empty, and reads as what the range holds at its ends."""
    reading = read(text, WORDS)
    if not reading.text:
        return
    start = data.draw(st.integers(0, len(reading.text) - 1))
    end = data.draw(st.integers(start + 1, len(reading.text)))
    first, last = reading.source_range(start, end)
    assert 0 <= first < last <= len(text)
    assert first == reading.origin[start]


@given(st.characters())
def test_a_folded_character_stays_as_it_is(character: str) -> None:
    """Reading what was read changes nothing, character by character."""
    assert "".join(map(fold, fold(character))) == fold(character)


@given(st.text(st.sampled_from("微信国家级最佳abcxyzVXＡÉ國級：！"), max_size=60))
def test_a_reading_without_gaps_and_digits_reads_as_itself(text: str) -> None:
    """Only gaps and digits depend on what stands around them."""
    once = read(text, WORDS).text
    assert read(once, WORDS).text == once


@given(st.text(max_size=60))
def test_vocabularies_change_no_length(text: str) -> None:
    """A sign that stands for a letter is replaced by one letter."""
    assert read(text, WORDS).origin == read(text).origin


def test_no_simplified_character_is_taken_for_a_traditional_one() -> None:
    """What patterns are written in is never read as something else."""
    assert not set(SIMPLIFIED) & set(SIMPLIFIED.values())
