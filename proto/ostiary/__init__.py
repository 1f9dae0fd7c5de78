"""Ostiary: what both ends of a wire agree on, and all that a caller needs.

`from ostiary import Client` is the SDK; its names are loaded when first asked for: `import ostiary` is cheap.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostiary.client import (
        AsyncClient,
        CheckResult,
        Client,
        OstiaryError,
        Profile,
        Reason,
        RetryPolicy,
        Verdict,
    )

    __version__: str

__all__ = [
    "AsyncClient",
    "CheckResult",
    "Client",
    "OstiaryError",
    "Profile",
    "Reason",
    "RetryPolicy",
    "Verdict",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ostiary")
    if name in __all__:
        from ostiary import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
