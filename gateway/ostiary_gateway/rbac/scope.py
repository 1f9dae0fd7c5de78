"""What a caller may send: the categories and territories that its role is held to. Pure."""

from ostiary.v1.listing_pb2 import Listing
from ostiary.wire.authorization import Principal
from ostiary.wire.errors import OstiaryError, Reason


def check_scope(principal: Principal, listing: Listing) -> None:
    """Refuse a listing beyond the caller's role; one that does not say what it is, is.

    Raises:
        OstiaryError: PERMISSION_DENIED.
    """
    for name, value, allowed in (
        ("category", listing.category, principal.categories),
        ("territory", listing.territory, principal.territories),
    ):
        if allowed and value not in allowed:
            raise OstiaryError(
                Reason.PERMISSION_DENIED,
                f"The role {principal.role} may send listings of the {name} {' or '.join(sorted(allowed))} "
                f"alone, and this one has {value or 'none'}",
            )
