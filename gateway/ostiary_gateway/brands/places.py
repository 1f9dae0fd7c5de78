"""Territories and categories as registries and listings name them."""

from collections.abc import Iterable

from ostiary_gateway.rules.territory import holds_in

CATEGORIES = ("apparel", "shoes", "digital", "home", "beauty", "general")
"""Categories that a registry may name: those of listings, `general` standing for all others."""

# Officially assigned codes of ISO 3166-1, and EU for all member states.
_CODES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT "
    "BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH "
    "ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT "
    "HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS "
    "LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI "
    "NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG "
    "SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG "
    "UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW EU"
)
_TERRITORIES = frozenset(_CODES.split())


def is_territory(code: str) -> bool:
    """Whether `code` is of ISO 3166-1 alpha-2, or EU."""
    return code in _TERRITORIES


def category_of(named: str) -> str:
    """The category that a listing's belongs to; empty where the listing names none."""
    folded = named.strip().casefold()
    return folded if folded in CATEGORIES or not folded else "general"


def covers(territories: Iterable[str], territory: str) -> bool:
    """Whether all of a territory lies in one of `territories`."""
    return any(holds_in(each, territory) for each in territories)


def touches(territories: Iterable[str], territory: str) -> bool:
    """Whether a territory and one of `territories` have something in common."""
    return any(holds_in(each, territory) or holds_in(territory, each) for each in territories)
