"""docs/logos.md says what the logo detector does."""

import re
from pathlib import Path

import pytest
import yaml

from moderation.wordmarks.lettering import line, matcher, scores
from ostiary_moderation.bundle.manifest import Detector
from ostiary_moderation.detectors.logo import LogoSettings
from ostiary_moderation.gallery import MAX_MARKS
from ostiary_moderation.wordmarks import score
from ostiary_moderation.wordmarks.spelling import MOST_LETTERS, MOST_WORDS

PAGE = (Path(__file__).resolve().parents[3] / "docs/logos.md").read_text("utf-8")
WEIGHTS = {name: float(weight) for weight, name in re.findall(r"\| (-?\d[\d.]*) <!-- (\w+) --> \|", PAGE)}


def test_the_settings_shown_are_settings() -> None:
    """The example of a bundle's detectors is valid, and shows the default."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    shown = [Detector.model_validate(each) for each in yaml.safe_load(block)["detectors"]]
    assert [each.name for each in shown] == ["ocr", "logo"]
    assert LogoSettings.model_validate(shown[1].settings) == LogoSettings()


def test_the_limits_shown_hold() -> None:
    """As many marks, words and letters as the page says."""
    assert f"at most {MAX_MARKS:,} marks" in PAGE or f"at most {MAX_MARKS:,}, " in PAGE
    assert "more than eight words or 60 letters" in PAGE
    assert (MOST_WORDS, MOST_LETTERS) == (8, 60)


def test_every_weight_is_shown() -> None:
    """The table of scores has each weight of the code, and no other."""
    limits = {"_SURE_CONFIDENCE", "_USUAL_HEIGHT", "_SMALLEST", "_LARGEST"}
    weights = {name: value for name, value in vars(score).items() if isinstance(value, float)}
    assert {f"_{name}": weight for name, weight in WEIGHTS.items()} == {
        name: weight for name, weight in weights.items() if name not in limits
    }


@pytest.mark.parametrize(
    ("mark", "text"),
    [
        ("Nike", "ＮＩＫＥ"),
        ("Hermes", "Hermès"),
        ("adidas", "АDIDАS"),
        ("Nike", "ΝΙΚΕ"),
        ("爱马仕", "愛馬仕"),
        ("ユニクロ", "ﾕﾆｸﾛ"),
        ("Nike", "N I K E"),
        ("Calvin Klein", "CalvinKlein"),
        ("Tommy Hilfiger", "TOMMYHILFIGER"),
        ("Levi's", "LEVIS®"),
        ("Nike", "N1KE"),
        ("adidas", "ADlDAS"),
        ("Gucci", "GUCC1"),
        ("Wrangler", "VVRANGLER"),
        ("adidas", "ADIDDAS"),
        ("Gucci", "GUCI"),
        ("Calvin Klein", "CALVIN KLIEN"),
        ("Balenciaga", "BALANCIAGA"),
        ("Tommy Hilfiger", "TOMMY HILFINGER"),
        ("adidas", "adidas originals"),
        ("Nike", "NIKE AIR"),
        ("adidas", "adidasoriginals"),
    ],
)
def test_the_examples_shown_are_found(mark: str, text: str) -> None:
    """Each spelling on the page is a likely reading of its mark."""
    assert f"`{text}`" in PAGE
    assert scores(matcher(mark), line(text))[mark] >= 0.5
