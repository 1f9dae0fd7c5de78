"""Whether a brand's marks may stand in a listing: by seller, category, territory and time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from ostiary.v1.config_pb2 import Authorisation, Brand
from ostiary_gateway.brands.places import covers, touches

AUTHORISED = "authorised_brand"
UNAUTHORISED = "unauthorised_brand"
UNCLEAR = "unclear_authorisation"


@dataclass(frozen=True, slots=True)
class Sale:
    """What is offered, by whom, where and when.

    Attributes:
        seller: empty where the listing names none.
        category: one of `places.CATEGORIES`; empty where the listing names none.
        territory: ISO 3166-1 alpha-2 or EU; empty where nobody named one.
        at: aware time of the decision.
    """

    seller: str
    category: str
    territory: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """One of the three labels, and why, in words for compliance teams."""

    label: str
    why: str


def judge(brand: Brand, sale: Sale) -> Judgement:
    """What a mark of `brand` in a listing of `sale` means.

    A brand that is protected elsewhere alone needs nobody's permission. A seller whom the brand names, but
    not for this sale, is for a person to look at: a lapsed or narrow permission is no counterfeit.
    """
    if elsewhere := _unprotected(brand, sale):
        return Judgement(AUTHORISED, elsewhere)
    if not sale.seller:
        return Judgement(UNCLEAR, "the listing names no seller")
    own = [each for each in brand.authorisations if each.seller == sale.seller]
    if not own:
        return Judgement(UNAUTHORISED, f"seller {sale.seller} is none of its authorised sellers")
    missing = [_missing(each, sale) for each in own]
    if not all(missing):
        return Judgement(AUTHORISED, f"seller {sale.seller} is authorised")
    return Judgement(UNCLEAR, f"seller {sale.seller} is authorised, but {'; or '.join(missing)}")


def _unprotected(brand: Brand, sale: Sale) -> str:
    """Why nobody's permission is needed; empty where it is, or might be."""
    if brand.territories and sale.territory and not touches(brand.territories, sale.territory):
        return f"it is not protected in {sale.territory}"
    if brand.categories and sale.category and sale.category not in brand.categories:
        return f"it is not protected for {sale.category}"
    return ""


def _missing(given: Authorisation, sale: Sale) -> str:
    """What a seller's permission lacks for a sale; empty where it covers all of it."""
    return ", ".join(
        filter(
            None,
            (
                _out_of_place(given.territories, sale.territory),
                _out_of_range(given.categories, sale.category),
                _out_of_time(given, sale.at),
            ),
        )
    )


def _out_of_place(territories: Iterable[str], territory: str) -> str:
    held = list(territories)
    if not held or (territory and covers(held, territory)):
        return ""
    return f"only in {', '.join(held)}, and {_told('territory', territory)}"


def _out_of_range(categories: Iterable[str], category: str) -> str:
    held = list(categories)
    if not held or category in held:
        return ""
    return f"only for {', '.join(held)}, and {_told('category', category)}"


def _told(what: str, named: str) -> str:
    return f"the {what} is {named}" if named else f"no {what} is named"


def _out_of_time(given: Authorisation, at: datetime) -> str:
    if given.HasField("valid_from") and at < (begins := _time(given.valid_from)):
        return f"only from {begins.isoformat()} on"
    if given.HasField("valid_until") and at >= (ends := _time(given.valid_until)):
        return f"only until {ends.isoformat()}"
    return ""


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
