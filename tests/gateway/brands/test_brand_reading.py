"""Registries from files: what they say, and every mistake with its file, line and field."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from gateway.brands import registries
from gateway.brands.registries import brand
from ostiary_gateway.brands import png
from ostiary_gateway.brands.in_force import Registry
from ostiary_gateway.brands.lint import overlaps
from ostiary_gateway.brands.problems import BadRegistryError
from ostiary_gateway.brands.reading import read_registry
from ostiary_gateway.brands.writing import registry_text, with_known_images, without_images


def read(text: str, file: str = "house.yaml") -> Registry:
    return Registry.of(read_registry(file, text, registries.load_image))


def problems(text: str, file: str = "house.yaml") -> list[str]:
    with pytest.raises(BadRegistryError) as caught:
        read(text, file)
    return [str(problem) for problem in caught.value.problems]


def encoded(image: bytes) -> str:
    return base64.b64encode(image).decode()


def test_a_registry_is_read_with_its_images() -> None:
    """Names in the mapping of the contract, images from files beside it."""
    read_ = read(registries.text(brand(territories=["DE", "EU"], categories=["shoes"])))
    [one] = read_.message.brands
    assert (read_.title, one.id, one.display_name) == ("house@1", "zorvane", "Zorvane")
    assert one.marks[0].image == registries.png(0)
    assert list(one.territories) == ["DE", "EU"]


def test_times_are_taken_as_yaml_has_them() -> None:
    """Quoted or not, with any zone."""
    given = """
      - {seller: s7, validFrom: 2026-01-01T00:00:00Z, validUntil: "2027-01-01T00:00:00+08:00"}
"""
    text = registries.text() + "  authorisations:" + given
    [authorisation] = read(text).message.brands[0].authorisations
    assert authorisation.valid_from.ToDatetime(UTC) == datetime(2026, 1, 1, tzinfo=UTC)
    assert authorisation.valid_until.ToDatetime(UTC) == datetime(2026, 12, 31, 16, tzinfo=UTC)


def test_json_is_read_too() -> None:
    """With images in base64; what is written is read as the same registry."""
    before = read(registries.text())
    written = registry_text(before.message)
    assert json.loads(written)["brands"][0]["marks"][0]["image"] == encoded(registries.png(0))
    assert read(written, "house.json").digest == before.digest


def test_the_digest_is_of_what_a_registry_says() -> None:
    """Not of how it is written; a new image changes it."""
    plain = read(registries.text())
    assert read("# a remark\n" + registries.text()).digest == plain.digest
    assert read(registries.text(brand(shade=1))).digest != plain.digest


def changed(**more: Any) -> str:
    """A registry of two brands, the second with other values."""
    return registries.text(brand("acmoria", shade=1), brand(**more))


def word(text: str, *variants: str) -> list[dict[str, Any]]:
    return [{"referenceId": "w", "text": text, "variants": list(variants)}]


def given(**more: str) -> list[dict[str, Any]]:
    return [{"seller": "s7", **more}]


@pytest.mark.parametrize(
    ("more", "field", "reason"),
    [
        ({"id": "Zorvane"}, "brands[1].id", "a DNS label is needed"),
        ({"id": "acmoria"}, "brands[1].id", "it is the id of brand acmoria of house already"),
        ({"words": None, "marks": None}, "brands[1]", "there is nothing to look for"),
        ({"words": word("ACMORIA")}, "brands[1].words[0].text", "reads like a word mark of brand acmoria"),
        (
            {"words": word("Ａｃｍ ôria")},
            "brands[1].words[0].text",
            "reads like a word mark of brand acmoria",
        ),
        (
            {"words": word("Zorvane", "Zor-Vane", "АСMORIA")},
            "brands[1].words[0].variants[1]",
            "reads like a word mark of brand acmoria",
        ),
        ({"words": word("ZV")}, "brands[1].words[0].text", "too short to tell the brand"),
        ({"words": word("Zorvane", "鹿")}, "brands[1].words[0].variants[0]", "too short to tell the brand"),
        ({"words": word("361")}, "brands[1].words[0].text", "has no letter"),
        ({"words": word("")}, "brands[1].words[0].text", "has no letter"),
        ({"words": word("Z" * 65)}, "brands[1].words[0].text", "at most 64 printable characters"),
        (
            {"words": [{"referenceId": "acmoria-mark", "text": "Zorvane"}]},
            "brands[1].words[0].referenceId",
            "it is a reference id of brand acmoria of house already",
        ),
        (
            {"words": [{"referenceId": "a b", "text": "Zorvane"}]},
            "brands[1].words[0].referenceId",
            "letters, digits",
        ),
        ({"shade": 1}, "brands[1].marks[0].image", "the same image as a mark of brand acmoria"),
        (
            {"marks": [{"referenceId": "m", "imageFile": "none/0.png"}]},
            "brands[1].marks[0].imageFile",
            "none/0.png: No such file",
        ),
        (
            {"marks": [{"referenceId": "m", "imageFile": "../0.png"}]},
            "brands[1].marks[0].imageFile",
            "below the registry's folder",
        ),
        (
            {"marks": [{"referenceId": "m", "imageFile": "/etc/0.png"}]},
            "brands[1].marks[0].imageFile",
            "below the registry's folder",
        ),
        (
            {"marks": [{"referenceId": "m", "imageFile": "marks/0.png", "image": ""}]},
            "brands[1].marks[0].imageFile",
            "give image or imageFile, not both",
        ),
        ({"marks": [{"referenceId": "m"}]}, "brands[1].marks[0].image", "there is none; give a PNG file"),
        (
            {"marks": [{"referenceId": "m", "image": encoded(b"GIF89a")}]},
            "brands[1].marks[0].image",
            "it is not a PNG file",
        ),
        ({"territories": ["DE", "UK"]}, "brands[1].territories[1]", "'UK' is none of ISO 3166-1 alpha-2"),
        ({"categories": ["toys"]}, "brands[1].categories[0]", "'toys' is none of apparel, shoes"),
        ({"authorisations": [{}]}, "brands[1].authorisations[0].seller", "1 to 256 characters"),
        ({"authorisations": given(territories="de")}, "", "territories"),
        (
            {"authorisations": [{"seller": "s7", "territories": ["de"]}]},
            "brands[1].authorisations[0].territories[0]",
            "'de' is none of",
        ),
        (
            {"authorisations": given(validFrom="2026-06-01T00:00:00Z", validUntil="2026-06-01T00:00:00Z")},
            "brands[1].authorisations[0].validUntil",
            "it would never hold",
        ),
        ({"colour": "red"}, "", 'no field named "colour"'),
    ],
)
def test_a_bad_brand_is_refused_in_words(more: dict[str, Any], field: str, reason: str) -> None:
    """Each mistake is told with its line and field, and the remedy; nothing else is."""
    read(changed())
    [told] = problems(changed(**more))
    assert reason in told
    if field:
        line, _, rest = told.removeprefix("house.yaml:").partition(": ")
        assert rest.startswith(f"{field}: ")
        lines = changed(**more).splitlines()
        assert int(line) > lines.index(next(each for each in lines if "acmoria-mark" in each)) + 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"name": "House Brands"}, "name: a DNS label"),
        ({"name": "home"}, "name: a registry is called as its file is: 'house', not 'home'"),
        ({"version": ""}, "version: it is shown in receipts"),
        ({"brands": []}, "brands: name at least one"),
        ({"brands": None}, "brands: name at least one"),
        ({"brands": "zorvane"}, "brands"),
    ],
)
def test_a_bad_registry_is_refused_in_words(more: dict[str, Any], words: str) -> None:
    """What is wrong with all of it."""
    assert any(words in told for told in problems(registries.text(**more)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: house\nname: home\n", "house.yaml:2: 'name' is given twice"),
        ("name: [\n", "house.yaml:2: "),
        ("- house\n", "a mapping of names to values is expected"),
        ('{"name": "house", "name": "home"}', "'name' is given twice"),
        ("", "a mapping of names to values is expected"),
    ],
)
def test_what_is_no_mapping_is_refused(text: str, words: str) -> None:
    """With its line, where there is one."""
    assert words in problems(text)[0]


def test_a_date_is_not_a_time() -> None:
    """Where a permission ends matters to the hour; a version may look like a date."""
    text = registries.text(version="X").replace("X", "2026-11-25") + "  authorisations:\n"
    told = problems(text + "  - {seller: s7, validUntil: 2027-01-31}\n")
    assert "brands[0].authorisations[0].validUntil: 2027-01-31; a time with its zone is needed" in told[0]
    assert read(text + "  - {seller: s7}\n").message.version == "2026-11-25"


def test_all_mistakes_are_told_at_once_in_their_order() -> None:
    """So that a person mends them in one go."""
    told = problems(registries.text(brand(words=word("ab"), territories=["XX"], categories=["toys"])))
    assert len(told) == 3
    lines = [int(each.split(":")[1]) for each in told]
    assert lines == sorted(lines)


def damaged(image: bytes, at: int) -> bytes:
    return image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "there is none"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "not a PNG"),
        (registries.png()[:20], "cut off"),
        (registries.png()[:-1], "cut off"),
        (damaged(registries.png(), 19), "header is damaged"),
        (registries.png(side=4097), "4,097 × 4,097 pixels"),
        (registries.png() + bytes(png.MAX_BYTES), "at most 1,048,576"),
    ],
    ids=["empty", "jpeg", "begun", "unfinished", "bit flipped", "too wide", "too large"],
)
def test_images_that_pods_could_not_take(image: bytes, words: str) -> None:
    """As far as can be known without decoding them."""
    assert words in png.fault(image)
    assert png.fault(registries.png(side=4096)) == ""


def test_registries_that_overlap() -> None:
    """Ids, references, words and images are one another's business across registries too."""
    house = registries.registry(brand())
    other = registries.registry(
        brand("zorvane", shade=0, words=[{"referenceId": "x", "text": "zor vane"}]), name="other"
    )
    found = [
        (name, fault.place[2:], fault.reason) for name, fault in overlaps([house.message, other.message])
    ]
    assert [(name, place) for name, place, _ in found] == [
        ("other", ("id",)),
        ("other", ("marks", 0, "referenceId")),
        ("other", ("marks", 0, "image")),
        ("other", ("words", 0, "text")),
    ]
    assert all("brand zorvane of house" in reason for _, _, reason in found)


def test_one_brand_may_say_a_word_twice() -> None:
    """A variant that folds to the word itself does no harm."""
    read(registries.text(brand(words=word("Zorvane", "ZORVANE", "Zor Vane"))))


def test_galleries_have_an_end() -> None:
    """More marks than a pod takes are refused where they are put, not where they would not fit."""
    many = [{"referenceId": f"w{number}", "text": f"zorvane {number}"} for number in range(10_001)]
    message = yaml.safe_load(registries.text(brand(words=many, marks=None)))
    told = problems(json.dumps(message), "house.json")
    assert told == ["house.json: brands: 10,001 marks; a gallery has at most 10,000"]


def test_images_are_left_out_and_put_back() -> None:
    """What ListBrandRegistries gives can be changed and put: marks that are known keep their images."""
    whole = registries.registry(brand(), brand("acmoria", shade=1)).message
    bare = without_images(whole)
    assert not any(mark.image for each in bare.brands for mark in each.marks)
    assert with_known_images(bare, whole) == whole
    bare.brands[0].marks[0].reference_id = "another"
    filled = with_known_images(bare, whole)
    assert not filled.brands[0].marks[0].image
    assert with_known_images(bare, None) == bare
