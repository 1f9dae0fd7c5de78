"""SPIFFE identities: a strict parser, and who a peer is.

The TLS runtime accepts queries, `..`, user information and ports in a SPIFFE ID; this parser does not. The
subject's common name is never looked at.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

_MAX_BYTES = 2048
_PREFIX = "spiffe://"
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)


def check_trust_domain(text: str) -> str:
    """Returns `text` if it is a trust domain (lower-case letters, digits, `.`, `-`, `_`); else ValueError."""
    if not _TRUST_DOMAIN.fullmatch(text):
        raise ValueError(f"trust domain {text!r} must be 1 to 255 of a-z, 0-9, '.', '-' and '_'")
    return text


@dataclass(frozen=True, order=True)
class SpiffeId:
    """`spiffe://TRUST_DOMAIN/PATH`; `path` begins with a slash."""

    trust_domain: str
    path: str

    def __str__(self) -> str:
        return f"{_PREFIX}{self.trust_domain}{self.path}"

    @classmethod
    def parse(cls, text: str) -> "SpiffeId":
        """Parses an ID strictly.

        Raises ValueError unless `text` is at most 2,048 bytes of `spiffe://`, a trust domain, and one or more
        non-empty path segments of letters, digits, `.`, `-` and `_`, none of them `.` or `..`.
        """
        if len(text) > _MAX_BYTES:
            raise ValueError(f"SPIFFE ID is longer than {_MAX_BYTES} bytes")
        if not text.startswith(_PREFIX):
            raise ValueError(f"SPIFFE ID {text!r} must begin with {_PREFIX}")
        trust_domain, slash, path = text.removeprefix(_PREFIX).partition("/")
        check_trust_domain(trust_domain)
        if not slash or not path:
            raise ValueError(f"SPIFFE ID {text!r} has no path")
        for segment in path.split("/"):
            if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
                raise ValueError(
                    f"SPIFFE ID {text!r} has the path segment {segment!r}: segments are non-empty, of "
                    "letters, digits, '.', '-' and '_', and neither '.' nor '..'"
                )
        return cls(trust_domain, f"/{path}")


@dataclass(frozen=True)
class Peer:
    """Who is at the other end of a TLS connection, taken from its leaf certificate alone."""

    id: SpiffeId
    serial: int
    not_after: datetime
    """End of the leaf's life, in UTC."""
    fingerprint: str
    """SHA-256 of the leaf in DER, in hex."""


def uri_names(certificate: x509.Certificate) -> list[str]:
    """All URI subject alternative names of a certificate; empty without the extension."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def spiffe_id_of(certificate: x509.Certificate) -> SpiffeId:
    """The one SPIFFE ID of a leaf; ValueError unless it has exactly one URI name, and that is a SPIFFE ID."""
    names = uri_names(certificate)
    if len(names) != 1:
        raise ValueError(f"certificate has {len(names)} URI names; exactly one, its SPIFFE ID, is needed")
    return SpiffeId.parse(names[0])
