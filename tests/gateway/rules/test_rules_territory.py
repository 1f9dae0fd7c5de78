"""Where packs hold: jurisdictions, territories, and listings that name none."""

import pytest

from ostiary.v1.listing_pb2 import Listing
from ostiary_gateway.policy.sighting import from_rules
from ostiary_gateway.rules import pack
from ostiary_gateway.rules.territory import holds_in

PACKS = pack.shipped()


@pytest.mark.parametrize(
    ("jurisdiction", "territory", "holds"),
    [
        ("", "CN", True),
        ("", "", True),
        ("CN", "CN", True),
        ("CN", "US", False),
        ("EU", "DE", True),
        ("EU", "FR", True),
        ("EU", "GB", False),
        ("EU", "EU", True),
        ("US", "DE", False),
        ("CN", "", True),
    ],
)
def test_where_a_jurisdiction_holds(jurisdiction: str, territory: str, holds: bool) -> None:
    """Member states have the Union's law; a listing without a territory may be shown anywhere."""
    assert holds_in(jurisdiction, territory) is holds


@pytest.mark.parametrize(
    ("territory", "jurisdictions"),
    [("CN", {"CN"}), ("US", {"US"}), ("DE", {"EU"}), ("BR", set()), ("", {"CN", "US", "EU"})],
)
def test_the_same_statement_under_each_law(territory: str, jurisdictions: set[str]) -> None:
    """Findings name the law under which they are made, with its article."""
    listing = Listing(title="国家级品质 FDA approved, approved by the EU")
    found = from_rules(list(PACKS.values()), listing, None, territory)
    assert {sighting.evidence.rule.jurisdiction for sighting in found} == jurisdictions
    assert all(sighting.evidence.rule.article for sighting in found)
