"""Turns what the TLS runtime says about a connection into a checked Peer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from ostiary.wire.certificates import verify_client_chain
from ostiary.wire.errors import OstiaryError, Reason
from ostiary.wire.identity import Peer, spiffe_id_of

_TLS_VERSIONS = frozenset({b"TLSv1.2", b"TLSv1.3"})
_MAX_CACHED = 4096


@dataclass(frozen=True)
class _Verified:
    peer: Peer | str
    """Or why the leaf names nobody."""
    serials: frozenset[int]
    """Those of the whole chain: denying an intermediate denies all that it issued."""
    since: datetime
    until: datetime
    """The time during which every certificate of the chain is within its life."""


class PeerVerifier:
    """Checks peers against one set of authorities; what it found is kept by the certificates presented.

    One instance lives as long as its authorities: rotation makes a new one, and with it an empty cache.
    """

    def __init__(self, roots: Sequence[x509.Certificate], trust_domain: str) -> None:
        self._roots = tuple(roots)
        self._trust_domain = trust_domain
        self._verified: dict[tuple[bytes, ...], _Verified] = {}

    def verify(
        self, auth_context: Mapping[str, Iterable[bytes]], denied: frozenset[int], now: datetime
    ) -> Peer:
        """The peer behind `auth_context`; OstiaryError(UNAUTHENTICATED) in words otherwise."""
        _check_tls(auth_context)
        presented = (*auth_context.get("x509_pem_cert", ()), *auth_context.get("x509_pem_cert_chain", ()))
        if not presented:
            raise _refused("no client certificate was presented")
        found = self._verified.get(presented)
        if found is None:
            found = self._verify_chain(presented, now)
            if len(self._verified) >= _MAX_CACHED:
                self._verified.clear()
            self._verified[presented] = found
        if not found.serials.isdisjoint(denied):
            raise _refused("the client certificate, or one of its issuers, is on the deny-list")
        if not found.since <= now <= found.until:
            raise _refused("the client certificate, or one of its issuers, has expired: renew it")
        if isinstance(found.peer, str):
            raise _refused(found.peer)
        return found.peer

    def _verify_chain(self, presented: Sequence[bytes], now: datetime) -> _Verified:
        try:
            leaf, *others = [
                certificate for pem in presented for certificate in x509.load_pem_x509_certificates(pem)
            ]
            chain = verify_client_chain(leaf, others, self._roots, now)
        except ValueError as error:
            raise _refused(f"the client certificate is refused: {error}") from error
        return _Verified(
            self._peer(leaf),
            serials=frozenset(certificate.serial_number for certificate in chain),
            since=max(certificate.not_valid_before_utc for certificate in chain),
            until=min(certificate.not_valid_after_utc for certificate in chain),
        )

    def _peer(self, leaf: x509.Certificate) -> Peer | str:
        try:
            spiffe_id = spiffe_id_of(leaf)
        except ValueError as error:
            return f"the client certificate is refused: {error}"
        if spiffe_id.trust_domain != self._trust_domain:
            trusted = f"this server trusts {self._trust_domain} alone"
            return f"the client belongs to trust domain {spiffe_id.trust_domain}; {trusted}"
        return Peer(
            id=spiffe_id,
            serial=leaf.serial_number,
            not_after=leaf.not_valid_after_utc,
            fingerprint=leaf.fingerprint(SHA256()).hex(),
        )


def _check_tls(auth_context: Mapping[str, Iterable[bytes]]) -> None:
    versions = tuple(auth_context.get("ssl_tls_version", ()))
    if len(versions) != 1 or versions[0] not in _TLS_VERSIONS:
        raise _refused("the connection must use TLS 1.2 or 1.3")


def _refused(why: str) -> OstiaryError:
    return OstiaryError(Reason.UNAUTHENTICATED, why[0].upper() + why[1:])
