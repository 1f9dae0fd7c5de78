"""docs/brands.md shows what works."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.brands import registries
from ostiary.v1.config_pb2 import BrandRegistry
from ostiary_gateway.brands.authorising import Sale, judge
from ostiary_gateway.brands.places import CATEGORIES
from ostiary_gateway.brands.reading import read_registry
from ostiary_gateway.cli.brands import app

PAGE = (Path(__file__).resolve().parents[3] / "docs/brands.md").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture(scope="module")
def example() -> BrandRegistry:
    """The page's registry, read as a gateway would."""
    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return read_registry("house-brands.yaml", found[1], lambda _: registries.png())


def test_the_example_is_a_registry(example: BrandRegistry) -> None:
    """With a word, its variants, a mark and a permission."""
    [brand] = example.brands
    assert (example.name, brand.id) == ("house-brands", "zorvane")
    assert brand.words[0].variants
    assert brand.marks[0].image


@pytest.mark.parametrize(
    ("offered", "label"),
    [
        (Sale("seller-7", "shoes", "DE", NOW), "authorised_brand"),
        (Sale("seller-7", "shoes", "CN", NOW), "unclear_authorisation"),
        (Sale("", "shoes", "DE", NOW), "unclear_authorisation"),
        (Sale("seller-8", "shoes", "DE", NOW), "unauthorised_brand"),
        (Sale("seller-8", "shoes", "US", NOW), "authorised_brand"),
    ],
)
def test_the_example_means_what_is_said_of_it(example: BrandRegistry, offered: Sale, label: str) -> None:
    """Each of the sentences below it."""
    assert judge(example.brands[0], offered).label == label


def test_all_categories_are_named() -> None:
    """That a registry may use."""
    assert all(f"`{category}`" in PAGE for category in CATEGORIES)


def test_all_commands_are_shown() -> None:
    """And no other."""
    commands = {each.name or each.callback.__name__ for each in app.registered_commands if each.callback}
    assert set(re.findall(r"^ostiary brands ([\w-]+)", PAGE, re.MULTILINE)) == commands
