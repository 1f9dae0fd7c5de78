"""Whose cases a caller may see."""

from ostiary.wire.call import Call
from ostiary.wire.errors import OstiaryError, Reason


def tenant_of(call: Call) -> str:
    """The caller's tenant. Raises OstiaryError (PERMISSION_DENIED) where there is none."""
    tenant = call.principal.tenant
    if not tenant:
        words = f"{call.principal.id} belongs to no tenant, and cases do: name it in the gateway's roles"
        raise OstiaryError(Reason.PERMISSION_DENIED, words)
    return tenant
