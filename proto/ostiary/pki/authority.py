"""An authority of one trust domain, kept in a folder: ca.pem, ca.key and deny.txt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ostiary.pki.files import PUBLIC, SECRET, Content, create, replace
from ostiary.pki.templates import BACKDATE, LeafRequest, authority_certificate, leaf_certificate
from ostiary.wire.deny_list import parse_deny_list
from ostiary.wire.files import read_file
from ostiary.wire.identity import SpiffeId, check_trust_domain, uri_names

CA_LIFETIME = timedelta(days=365)
LEAF_LIFETIME = timedelta(hours=24)

_DENY_HEADER = b"# Serials of certificates that are refused before they expire: one in hex per line.\n"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Authority:
    """A certificate authority, loaded."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    trust_domain: str
    clock: Callable[[], datetime] = _utc_now

    @property
    def deny_list(self) -> Path:
        """The file of denied serials."""
        return self.folder / "deny.txt"

    @classmethod
    def load(cls, folder: Path, *, clock: Callable[[], datetime] = _utc_now) -> "Authority":
        """Loads the authority in `folder`; ValueError, in words, where there is none."""
        if not (folder / "ca.key").exists():
            raise ValueError(f"{folder} holds no authority: make one with `ostiary pki init {folder}`")
        try:
            certificate = x509.load_pem_x509_certificate(read_file(folder / "ca.pem"))
            key = load_pem_private_key(read_file(folder / "ca.key"), password=None)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{folder} holds a damaged authority: {error}") from error
        names = uri_names(certificate)
        if len(names) != 1 or not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{folder} holds an authority that this command did not make")
        return cls(folder, certificate, key, check_trust_domain(names[0].removeprefix("spiffe://")), clock)

    def issue(
        self,
        out: Path,
        id: SpiffeId,  # noqa: A002  # the field's own word
        dns: Sequence[str] = (),
        ips: Sequence[IPv4Address | IPv6Address] = (),
        lifetime: timedelta = LEAF_LIFETIME,
        client: bool = True,
        server: bool = True,
    ) -> x509.Certificate:
        """Writes cert.pem, key.pem (mode 0600) and ca.pem into `out`, over those of an earlier issue.

        `client` and `server` say for which end of a connection the certificate is good. Raises ValueError for
        an ID of another trust domain and for a life that the authority itself does not have.
        """
        if id.trust_domain != self.trust_domain:
            raise ValueError(f"{id} is not of this authority's trust domain {self.trust_domain}")
        return self._write(out, LeafRequest(id, tuple(dns), tuple(ips), client, server), lifetime)

    def renew(self, out: Path, lifetime: timedelta | None = None) -> x509.Certificate:
        """Replaces the certificate and key in `out` by new ones for the same names and uses.

        `lifetime` defaults to that of the old certificate. Raises ValueError where `out` holds no certificate
        of this authority.
        """
        try:
            old = x509.load_pem_x509_certificate(read_file(out / "cert.pem"))
            old.verify_directly_issued_by(self.certificate)
            request = LeafRequest.of(old)
        except (ValueError, TypeError, InvalidSignature) as error:
            path = out / "cert.pem"
            raise ValueError(f"{path} is not a certificate of this authority: {error}") from error
        if lifetime is None:
            lifetime = old.not_valid_after_utc - old.not_valid_before_utc - BACKDATE
        return self._write(out, request, lifetime)

    def deny(self, serial: int, comment: str) -> bool:
        """Puts a serial on the deny-list; False where it is there already."""
        data = read_file(self.deny_list) if self.deny_list.exists() else _DENY_HEADER
        if serial in parse_deny_list(data):
            return False
        if data and not data.endswith(b"\n"):
            data += b"\n"
        line = f"{serial:x}  # {' '.join(comment.split())}\n"
        replace({self.deny_list: Content(data + line.encode(), PUBLIC)})
        return True

    def _write(self, out: Path, request: LeafRequest, lifetime: timedelta) -> x509.Certificate:
        now = self.clock()
        if lifetime <= timedelta():
            raise ValueError("a certificate's life must be longer than nothing")
        if now + lifetime > self.certificate.not_valid_after_utc:
            raise ValueError(
                f"the authority itself ends at {self.certificate.not_valid_after_utc:%Y-%m-%d %H:%MZ}: ask "
                "for a shorter life, or make a new authority in another folder"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = leaf_certificate(request, key.public_key(), self.certificate, self.key, now, lifetime)
        out.mkdir(parents=True, exist_ok=True)
        replace(
            {
                out / "ca.pem": Content(self.certificate.public_bytes(Encoding.PEM), PUBLIC),
                out / "key.pem": Content(_private(key), SECRET),
                out / "cert.pem": Content(certificate.public_bytes(Encoding.PEM), PUBLIC),
            }
        )
        return certificate


def create_ca(
    folder: Path,
    trust_domain: str = "ostiary.local",
    *,
    lifetime: timedelta = CA_LIFETIME,
    clock: Callable[[], datetime] = _utc_now,
) -> Authority:
    """Makes an authority in `folder`: ca.pem, ca.key (mode 0600) and an empty deny.txt.

    Raises ValueError for a bad trust domain, and where any of the files exists: an authority is never
    overwritten.
    """
    check_trust_domain(trust_domain)
    for name in ("ca.pem", "ca.key", "deny.txt"):
        if (folder / name).exists():
            raise ValueError(
                f"{folder / name} exists, and an authority is never overwritten: use another folder"
            )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = authority_certificate(trust_domain, key, clock(), lifetime)
    folder.mkdir(parents=True, exist_ok=True)
    create(folder / "ca.key", Content(_private(key), SECRET))
    create(folder / "ca.pem", Content(certificate.public_bytes(Encoding.PEM), PUBLIC))
    create(folder / "deny.txt", Content(_DENY_HEADER, PUBLIC))
    return Authority(folder, certificate, key, trust_domain, clock)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
