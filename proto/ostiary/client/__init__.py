"""The SDK: `from ostiary import Client`."""

from ostiary.client.aio import AsyncClient
from ostiary.client.blocking import Client
from ostiary.client.evidence import (
    Action,
    Barcode,
    Brand,
    Contradiction,
    Finding,
    KnownImage,
    ModelScore,
    Region,
    Rule,
)
from ostiary.client.profile import Profile
from ostiary.client.result import (
    Attribute,
    Bundle,
    CanonicalImage,
    CheckResult,
    Description,
    HoldReason,
    PolicyResult,
    Receipt,
    Reuse,
    Verdict,
)
from ostiary.client.retry import RetryPolicy
from ostiary.wire.errors import OstiaryError, Reason

__all__ = [
    "Action",
    "AsyncClient",
    "Attribute",
    "Barcode",
    "Brand",
    "Bundle",
    "CanonicalImage",
    "CheckResult",
    "Client",
    "Contradiction",
    "Description",
    "Finding",
    "HoldReason",
    "KnownImage",
    "ModelScore",
    "OstiaryError",
    "PolicyResult",
    "Profile",
    "Reason",
    "Receipt",
    "Region",
    "RetryPolicy",
    "Reuse",
    "Rule",
    "Verdict",
]
