"""Which marks are read in which text, and how sure that is."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moderation.wordmarks.lettering import HEIGHT, WIDTH, found, line, matcher, scores, stacked
from ostiary_moderation.wordmarks.layout import Box, Line
from ostiary_moderation.wordmarks.matcher import Found
from ostiary_moderation.wordmarks.spelling import DegenerateError, Spelling

DISTINCTIVE = (
    "Nike",
    "adidas",
    "Gucci",
    "Levi's",
    "Puma",
    "Calvin Klein",
    "Tommy Hilfiger",
    "The North Face",
    "Balenciaga",
    "Abercrombie & Fitch",
    "Macron",
    "Pull & Bear",
    "Viber",
    "Snort",
    "Hugo Boss",
    "Ralph Lauren",
    "Polo Ralph Lauren",
    "New Balance",
    "耐克",
    "爱马仕",
    "ユニクロ",
    "H&M",
)
COMMON = ("GAP", "NEXT", "MANGO", "ONLY", "VANS", "COACH", "GUESS", "DIESEL", "BOSS", "苹果")
KNOWN = matcher(*DISTINCTIVE, *COMMON)
SURE, LIKELY, DOUBTFUL = 0.9, 0.7, 0.4


@pytest.mark.parametrize("mark", DISTINCTIVE)
def test_a_mark_alone_on_its_line_is_sure(mark: str) -> None:
    """As registered, in capitals and in small letters; few letters and words of the language say less."""
    least = LIKELY if mark in ("H&M", "New Balance", "Pull & Bear", "Viber") else SURE
    for text in (mark, mark.upper(), mark.lower()):
        assert scores(KNOWN, line(text)) == {mark: pytest.approx((1 + least) / 2, abs=(1 - least) / 2)}


@pytest.mark.parametrize(
    ("text", "brand", "least"),
    [
        pytest.param("N1KE", "Nike", LIKELY, id="a digit for a letter"),
        pytest.param("ADIDDAS", "adidas", LIKELY, id="a letter doubled"),
        pytest.param("GUCC1", "Gucci", LIKELY, id="a digit at the end"),
        pytest.param("ADlDAS", "adidas", LIKELY, id="small L for capital I"),
        pytest.param("ADID@S", "adidas", SURE, id="a sign for a letter"),
        pytest.param("АDIDАS", "adidas", SURE, id="Cyrillic letters"),
        pytest.param("ΝΙΚΕ", "Nike", SURE, id="Greek letters"),
        pytest.param("Ｎｉｋｅ", "Nike", SURE, id="full width"),
        pytest.param("GÜCCI", "Gucci", SURE, id="accent"),
        pytest.param("N I K E", "Nike", SURE, id="letters set apart"),
        pytest.param("LEVIS", "Levi's", SURE, id="without apostrophe"),
        pytest.param("LEVl'S", "Levi's", LIKELY, id="look-alike beside an apostrophe"),
        pytest.param("CalvinKlein", "Calvin Klein", SURE, id="merged"),
        pytest.param("TOMMYHILFIGER", "Tommy Hilfiger", SURE, id="merged capitals"),
        pytest.param("CALVIN-KLEIN", "Calvin Klein", SURE, id="hyphen"),
        pytest.param("TOMY HILFIGER", "Tommy Hilfiger", SURE, id="a letter halved"),
        pytest.param("TOMMY HILFINGER", "Tommy Hilfiger", LIKELY, id="a letter more"),
        pytest.param("CALVIN KLIEN", "Calvin Klein", LIKELY, id="letters exchanged"),
        pytest.param("PULL&SEAR", "Pull & Bear", LIKELY, id="another letter beside a common word"),
        pytest.param("MACRN", "Macron", DOUBTFUL, id="a letter lost"),
        pytest.param("BALANCIAGA", "Balenciaga", LIKELY, id="another vowel"),
        pytest.param("ABERCROMBIE AND FITCH", "Abercrombie & Fitch", SURE, id="and for ampersand"),
        pytest.param("ABERCROMBIE FITCH", "Abercrombie & Fitch", SURE, id="ampersand left out"),
        pytest.param("adidas originals", "adidas", SURE, id="at the beginning of a line"),
        pytest.param("NIKE AIR", "Nike", LIKELY, id="beside a common word"),
        pytest.param("just Nike it", "Nike", LIKELY, id="in the middle of a line"),
        pytest.param("adidasoriginals", "adidas", LIKELY, id="merged with a common word"),
        pytest.param("NIKEAIR", "Nike", DOUBTFUL, id="merged with a short word"),
        pytest.param("NIKE2024", "Nike", DOUBTFUL, id="merged with a year"),
        pytest.param("耐克官方旗舰店", "耐克", DOUBTFUL, id="Chinese in a line"),
        pytest.param("愛馬仕", "爱马仕", SURE, id="traditional Chinese"),
        pytest.param("ﾕﾆｸﾛ", "ユニクロ", SURE, id="half-width Japanese"),
    ],
)
def test_a_mark_spelt_otherwise_is_found(text: str, brand: str, least: float) -> None:
    """Print, OCR and sellers write a mark in many ways; its score says how far that is from the mark."""
    assert scores(KNOWN, line(text)).get(brand, 0.0) >= least


@pytest.mark.parametrize(
    "text",
    [
        "VIBES",
        "SPORT",
        "LEVEL",
        "LEVEL UP",
        "PUNK",
        "PUMP",
        "LIKE",
        "BIKE",
        "HIKE",
        "GUIDE",
        "addicts",
        "CALL ME LATER",
        "NORTH",
        "THE NORTH",
        "FACE THE NORTH",
        "KLEIN",
        "POLICE",
        "2024",
        "小米",
        "克",
        "爱马",
        "クロ",
        "HM",
        "",
        "★",
    ],
)
def test_other_words_are_not_found(text: str) -> None:
    """Words of the language are never misspelt marks, short words must be right, and a part is no mark."""
    assert scores(KNOWN, line(text)) == {}


@pytest.mark.parametrize("mark", COMMON)
def test_a_common_word_counts_where_it_stands_as_a_mark_does(mark: str) -> None:
    """Alone, large and in its capitals it is likely the mark; small, or in other letters, it may be; in a
    sentence it is a word.
    """
    large = scores(KNOWN, line(mark, size=60))[mark]
    small = scores(KNOWN, line(mark, size=12), line("100% cotton", y=700, size=60))[mark]
    sentence = scores(KNOWN, line(f"we {mark.lower()} want more", size=60)).get(mark, 0.0)
    assert large >= LIKELY > small > sentence
    assert sentence < DOUBTFUL


def test_a_slogan_in_lines_is_a_sentence() -> None:
    """A common word with print of its size above or below it is part of what stands there."""
    alone = scores(KNOWN, line("ONLY", size=60))["ONLY"]
    slogan = scores(KNOWN, *stacked("THE", "ONLY", "WAY", size=60)).get("ONLY", 0.0)
    assert alone >= LIKELY
    assert slogan < DOUBTFUL


def test_common_words_must_be_right() -> None:
    """G4P and NEXTT are no GAP and no NEXT that anybody could be sure of."""
    assert scores(KNOWN, line("G4P")) == {}
    assert scores(KNOWN, line("NEXTT")).get("NEXT", 0.0) < LIKELY


def test_words_that_make_up_a_mark_may_just_be_words() -> None:
    """BEST SELLER in a line is what anybody says; alone and large it is likely the mark."""
    known = matcher("Bestseller")
    assert scores(known, line("our best seller ever", size=60)).get("Bestseller", 0.0) < DOUBTFUL
    assert scores(known, line("BESTSELLER"))["Bestseller"] >= SURE
    assert scores(known, line("BEST SELLER", size=60))["Bestseller"] >= LIKELY


def test_a_sign_makes_a_word_a_mark() -> None:
    """GAP® in a line is more likely the mark than GAP there."""
    assert scores(KNOWN, line("the GAP® store"))["GAP"] > scores(KNOWN, line("the GAP store")).get("GAP", 0.0)


@pytest.mark.parametrize(
    ("lines", "brand"),
    [
        pytest.param(stacked("THE", "NORTH", "FACE"), "The North Face", id="three lines"),
        pytest.param(stacked("THE NORTH", "FACE"), "The North Face", id="two lines"),
        pytest.param(stacked("CALVIN", "KLEIN JEANS"), "Calvin Klein", id="a word more"),
        pytest.param(stacked("TOMMY", "H1LFIGER"), "Tommy Hilfiger", id="misspelt"),
        pytest.param(
            [line("CALVIN"), line("KLEIN", x=100 + 6 * 24 + 20, y=104)], "Calvin Klein", id="side by side"
        ),
        pytest.param(
            [line("THE"), line("NORTH", x=100 + 3 * 24 + 15), line("FACE", x=120, y=150)],
            "The North Face",
            id="two beside each other, one below",
        ),
        pytest.param([line("HUGO", size=60), line("BOSS", y=165, size=24)], "Hugo Boss", id="of two sizes"),
        pytest.param([line("爱", x=100), line("马", y=145), line("仕", y=190)], "爱马仕", id="a column"),
    ],
)
def test_lines_that_belong_together_are_joined(lines: list[Line], brand: str) -> None:
    """A mark in several lines is found as one, and its place is around all of them."""
    (best, *others) = found(KNOWN, *lines)
    assert best.brand == brand
    assert best.score >= LIKELY
    assert all(other.score < best.score for other in others)
    assert best.box.left == min(each.box.left for each in lines)
    assert best.box.bottom == max(each.box.bottom for each in lines)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([line("CALVIN"), line("KLEIN", y=600)], id="far below"),
        pytest.param([line("CALVIN"), line("KLEIN", x=600)], id="far to the right"),
        pytest.param([line("KLEIN"), line("CALVIN", y=150)], id="the wrong way round"),
        pytest.param([line("CALVIN", size=80), line("KLEIN", y=190, size=12)], id="of very different sizes"),
        pytest.param([line("CALVIN"), line("KLEIN", x=500, y=150)], id="below, but not under it"),
    ],
)
def test_lines_that_stand_apart_are_not_joined(lines: list[Line]) -> None:
    """What does not stand together is not read together."""
    assert scores(KNOWN, *lines) == {}


def test_the_longest_mark_wins() -> None:
    """Polo Ralph Lauren is not Ralph Lauren too, and Hugo Boss is no BOSS."""
    assert set(scores(KNOWN, line("POLO RALPH LAUREN"))) == {"Polo Ralph Lauren"}
    assert set(scores(KNOWN, line("HUGO BOSS"))) == {"Hugo Boss"}
    assert set(scores(KNOWN, line("Ralph Lauren"))) == {"Ralph Lauren"}


def test_two_brands_of_one_word_are_both_told() -> None:
    """Whose it is, is not for the pod to say."""
    known = matcher("Delton")
    both = type(known)([Spelling.of(brand, brand, "Delton") for brand in ("doors", "shoes")], 0.2)
    assert set(scores(both, line("DELTON"))) == {"doors", "shoes"}


def test_a_mark_is_told_for_every_place() -> None:
    """Two labels are two candidates."""
    assert len(found(KNOWN, line("NIKE"), line("nike", y=500))) == 2


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        pytest.param(line("adidas"), line("adidas", confidence=0.6), id="OCR is sure"),
        pytest.param(line("adidas", size=60), line("adidas", size=8), id="large letters"),
        pytest.param(line("adidas"), line("adibas"), id="no edit"),
        pytest.param(line("adidas"), line("adidas shoes"), id="alone"),
        pytest.param(line("adidas shoes"), line("adidas2024 shoes"), id="set apart"),
    ],
)
def test_better_evidence_scores_higher(better: Line, worse: Line) -> None:
    """Each thing that makes a reading doubtful lowers its score."""
    assert scores(KNOWN, better)["adidas"] > scores(KNOWN, worse).get("adidas", 0.0)


@pytest.mark.parametrize(
    "text", ["", "★", "x", "&", "a" * 61, "one two three four five six seven eight nine"]
)
def test_degenerate_spellings_are_refused(text: str) -> None:
    """One letter would be found everywhere, and an essay is no mark."""
    with pytest.raises(DegenerateError, match="register"):
        Spelling.of("brand", "id", text)


_WORDS = st.text("abcdefghijklmnopqrstuvwxyzäé耐克0123456789 '-&.", min_size=1, max_size=30)


@given(_WORDS)
def test_an_exact_mark_alone_is_always_found(mark: str) -> None:
    """Whatever is accepted into a gallery is found where it stands alone, well read and not tiny."""
    try:
        known = matcher(mark)
    except DegenerateError:
        assume(False)
    assert scores(known, line(mark, confidence=0.95)).get(mark, 0.0) >= 0.2


_PRINT = st.lists(
    st.builds(
        line,
        st.sampled_from(
            [*DISTINCTIVE, *COMMON, "the", "north", "face", "FACE", "CALVIN", "KLEIN", "we love", "★", "N1KE"]
        ),
        x=st.integers(0, 600),
        y=st.integers(0, 700),
        size=st.integers(8, 90),
        confidence=st.floats(0.5, 1.0),
    ),
    max_size=8,
)


@given(_PRINT, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(lines: list[Line], source: random.Random) -> None:
    """OCR may tell what it reads in any order."""
    shuffled = list(lines)
    source.shuffle(shuffled)
    assert KNOWN.find(shuffled, WIDTH, HEIGHT) == KNOWN.find(lines, WIDTH, HEIGHT)


@given(_PRINT)
def test_places_and_scores_are_sound(lines: list[Line]) -> None:
    """A candidate stands where its lines stand, and a score is a probability."""

    def inside(each: Found) -> bool:
        around = Box(
            min(part.box.left for part in lines),
            min(part.box.top for part in lines),
            max(part.box.right for part in lines),
            max(part.box.bottom for part in lines),
        )
        return around.union(each.box) == around

    for each in found(KNOWN, *lines):
        assert 0.2 <= each.score <= 1
        assert inside(each)


@given(st.text("bdfjqwxyz", min_size=1, max_size=14), st.integers(0, 3))
def test_random_letters_are_no_mark(text: str, gaps: int) -> None:
    """A string that shares hardly a letter with the marks is never found."""
    known = matcher("Calvin Klein", "Nike", "Levi's", "The North Face", "耐克", "Gucci", "Esprit")
    assert scores(known, line((" " * gaps).join([text, text[::-1]]))) == {}
