"""Certificates of every shape, good and bad, for tests: what `ostiary.pki` refuses to make."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ostiary.wire.credentials import CredentialFiles

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
HOUR = timedelta(hours=1)


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates one after another, in PEM."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


@dataclass(frozen=True)
class Holder:
    """A certificate with its key and what it presents beside it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def key_pem(self) -> bytes:
        """The key in PEM."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, folder: Path, *roots: x509.Certificate) -> CredentialFiles:
        """Writes cert.pem, key.pem and, of `roots`, ca.pem."""
        folder.mkdir(parents=True, exist_ok=True)
        files = CredentialFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        files.cert.write_bytes(pem(self.certificate, *self.above))
        files.key.write_bytes(self.key_pem)
        files.ca.write_bytes(pem(*roots))
        return files


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _sign(
    subject: str,
    issuer: Holder | None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    life: tuple[timedelta, timedelta],
) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer.certificate.subject if issuer else _name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + life[0])
        .not_valid_after(now + life[1])
    )
    issuer_key = (issuer.key if issuer else key).public_key()
    for extension, critical in (
        *extensions,
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        # Without these two, authorities of one name cannot be told apart during a rotation.
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False),
    ):
        builder = builder.add_extension(extension, critical)
    above = (issuer.certificate, *issuer.above) if issuer else ()
    # A root is never presented: only intermediates are.
    presented = tuple(each for each in above if each.issuer != each.subject)
    return Holder(builder.sign(issuer.key if issuer else key, SHA256()), key, presented)


def authority(
    name: str = "root",
    issuer: Holder | None = None,
    *,
    trust_domain: str | None = None,
    ca: bool = True,
    life: tuple[timedelta, timedelta] = (-HOUR, 24 * HOUR),
) -> Holder:
    """A root, or an intermediate under `issuer`."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=ca, path_length=None), True)
    ]
    if trust_domain:
        uri = x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")
        extensions.append((x509.SubjectAlternativeName([uri]), False))
    return _sign(name, issuer, extensions, life)


def leaf(
    issuer: Holder,
    *uris: str,
    common_name: str = "leaf",
    dns: Sequence[str] = (),
    uses: Sequence[x509.ObjectIdentifier] = (CLIENT, SERVER),
    life: tuple[timedelta, timedelta] = (-HOUR, HOUR),
) -> Holder:
    """A leaf with any number of URI names, among them none."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage(uses), False),
    ]
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(name) for name in dns]
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    return _sign(common_name, issuer, extensions, life)
