"""Which law holds where."""

# Member states of the European Union, ISO 3166-1 alpha-2; as a list they would take 27 lines.
_EU = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())  # noqa: SIM905


def holds_in(jurisdiction: str, territory: str) -> bool:
    """Whether the rules of a jurisdiction hold in a territory.

    Rules without a jurisdiction hold everywhere, and those of the EU in its member states. A listing whose
    territory nobody named may be shown anywhere: all rules hold.
    """
    if not jurisdiction or not territory or jurisdiction == territory:
        return True
    return jurisdiction == "EU" and territory in _EU
