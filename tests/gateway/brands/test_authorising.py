"""Who may sell a brand: by seller, category, territory and date."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1.config_pb2 import Authorisation, Brand
from ostiary_gateway.brands.authorising import AUTHORISED, UNAUTHORISED, UNCLEAR, Sale, judge
from ostiary_gateway.brands.places import CATEGORIES, category_of

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def time(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def permission(seller: str = "s7", **more: Any) -> Authorisation:
    return Authorisation(seller=seller, **more)


def sale(seller: str = "s7", category: str = "shoes", territory: str = "DE", at: datetime = NOW) -> Sale:
    return Sale(seller, category, territory, at)


@pytest.mark.parametrize(
    ("brand", "offered", "label", "why"),
    [
        ({}, sale(), UNAUTHORISED, "seller s7 is none of its authorised sellers"),
        ({}, sale(seller=""), UNCLEAR, "the listing names no seller"),
        ({"authorisations": [permission()]}, sale(), AUTHORISED, "seller s7 is authorised"),
        ({"authorisations": [permission("s8")]}, sale(), UNAUTHORISED, "none of its authorised"),
        ({"authorisations": [permission()]}, sale(seller=""), UNCLEAR, "names no seller"),
        ({"territories": ["CN"]}, sale(), AUTHORISED, "not protected in DE"),
        ({"territories": ["CN", "EU"]}, sale(), UNAUTHORISED, "none of"),
        ({"territories": ["CN"]}, sale(territory=""), UNAUTHORISED, "none of"),
        ({"territories": ["DE"]}, sale(territory="EU"), UNAUTHORISED, "none of"),
        ({"categories": ["beauty"]}, sale(), AUTHORISED, "not protected for shoes"),
        ({"categories": ["beauty", "shoes"]}, sale(), UNAUTHORISED, "none of"),
        ({"categories": ["beauty"]}, sale(category=""), UNAUTHORISED, "none of"),
        ({"authorisations": [permission(territories=["DE"])]}, sale(), AUTHORISED, "is authorised"),
        ({"authorisations": [permission(territories=["EU"])]}, sale(), AUTHORISED, "is authorised"),
        (
            {"authorisations": [permission(territories=["DE"])]},
            sale(territory="EU"),
            UNCLEAR,
            "only in DE, and the territory is EU",
        ),
        (
            {"authorisations": [permission(territories=["CN", "FR"])]},
            sale(),
            UNCLEAR,
            "only in CN, FR, and the territory is DE",
        ),
        (
            {"authorisations": [permission(territories=["DE"])]},
            sale(territory=""),
            UNCLEAR,
            "only in DE, and no territory is named",
        ),
        ({"authorisations": [permission(categories=["shoes"])]}, sale(), AUTHORISED, "is authorised"),
        (
            {"authorisations": [permission(categories=["apparel"])]},
            sale(),
            UNCLEAR,
            "only for apparel, and the category is shoes",
        ),
        (
            {"authorisations": [permission(categories=["shoes"])]},
            sale(category=""),
            UNCLEAR,
            "only for shoes, and no category is named",
        ),
        (
            {"authorisations": [permission(valid_until=time(NOW))]},
            sale(),
            UNCLEAR,
            "only until 2026-11-25T12:00:00+00:00",
        ),
        ({"authorisations": [permission(valid_until=time(NOW + DAY))]}, sale(), AUTHORISED, "is authorised"),
        ({"authorisations": [permission(valid_from=time(NOW))]}, sale(), AUTHORISED, "is authorised"),
        (
            {"authorisations": [permission(valid_from=time(NOW + DAY))]},
            sale(),
            UNCLEAR,
            "only from 2026-11-26T12:00:00+00:00 on",
        ),
        (
            {
                "authorisations": [
                    permission(territories=["CN"], valid_until=time(NOW - DAY)),
                    permission(categories=["beauty"]),
                ]
            },
            sale(),
            UNCLEAR,
            "until 2026-11-24T12:00:00+00:00; or only for beauty",
        ),
        (
            {"authorisations": [permission(valid_until=time(NOW - DAY)), permission(territories=["DE"])]},
            sale(),
            AUTHORISED,
            "is authorised",
        ),
    ],
)
def test_what_a_mark_means(brand: dict[str, Any], offered: Sale, label: str, why: str) -> None:
    """The table of the documentation, and why, in words."""
    judgement = judge(Brand(id="zorvane", **brand), offered)
    assert judgement.label == label
    assert why in judgement.why


@pytest.mark.parametrize(
    ("named", "category"),
    [("shoes", "shoes"), (" Shoes ", "shoes"), ("handbags", "general"), ("general", "general"), ("", "")],
)
def test_categories_of_listings(named: str, category: str) -> None:
    """What callers name in their own way is `general`, as it is for prompt libraries."""
    assert category_of(named) == category


_PLACES = st.lists(st.sampled_from(["DE", "FR", "CN", "EU"]), max_size=2)
_KINDS = st.lists(st.sampled_from(CATEGORIES), max_size=2)
_PERMISSIONS = st.lists(
    st.builds(permission, st.sampled_from(["s7", "s8"]), territories=_PLACES, categories=_KINDS), max_size=3
)
_BRANDS = st.builds(
    Brand, id=st.just("zorvane"), territories=_PLACES, categories=_KINDS, authorisations=_PERMISSIONS
)
_SALES = st.builds(
    Sale,
    st.sampled_from(["", "s7", "s8"]),
    st.sampled_from(["", *CATEGORIES]),
    st.sampled_from(["", "DE", "CN", "EU", "US"]),
    st.just(NOW),
)
_GRAVITY = [AUTHORISED, UNCLEAR, UNAUTHORISED]


@given(_BRANDS, _SALES, st.builds(permission, territories=_PLACES, categories=_KINDS))
def test_another_permission_never_makes_it_graver(brand: Brand, offered: Sale, more: Authorisation) -> None:
    """What one entry allows no other takes away."""
    before = judge(brand, offered).label
    brand.authorisations.append(more)
    assert _GRAVITY.index(judge(brand, offered).label) <= _GRAVITY.index(before)


@given(_BRANDS, _SALES)
def test_what_is_not_named_is_never_a_way_around(brand: Brand, offered: Sale) -> None:
    """A sale that leaves out seller, territory or category is never authorised where the full one is not."""
    if judge(brand, offered).label == AUTHORISED:
        return
    for less in (
        Sale("", offered.category, offered.territory, NOW),
        Sale(offered.seller, "", offered.territory, NOW),
        Sale(offered.seller, offered.category, "", NOW),
    ):
        assert judge(brand, less).label != AUTHORISED
