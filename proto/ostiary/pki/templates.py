"""What goes into the certificates: pure functions of a request, keys and a time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ostiary.wire.identity import SpiffeId, spiffe_id_of

BACKDATE = timedelta(minutes=5)
"""How far a certificate begins in the past, for clocks that are behind."""


@dataclass(frozen=True)
class LeafRequest:
    """The names and uses of a leaf."""

    id: SpiffeId
    dns: tuple[str, ...]
    ips: tuple[IPv4Address | IPv6Address, ...]
    client: bool
    server: bool

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "LeafRequest":
        """What was asked for when `certificate` was issued; ValueError unless this module made it."""
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except x509.ExtensionNotFound as error:
            raise ValueError(str(error)) from error
        ips = names.get_values_for_type(x509.IPAddress)
        return cls(
            id=spiffe_id_of(certificate),
            dns=tuple(names.get_values_for_type(x509.DNSName)),
            ips=tuple(ip for ip in ips if isinstance(ip, IPv4Address | IPv6Address)),
            client=ExtendedKeyUsageOID.CLIENT_AUTH in uses,
            server=ExtendedKeyUsageOID.SERVER_AUTH in uses,
        )


def authority_certificate(
    trust_domain: str, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.Certificate:
    """A self-signed authority that names its trust domain and may issue leaves alone."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ostiary"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{trust_domain} authority"[:64]),
        ]
    )
    return (
        _builder(name, name, key.public_key(), now, lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(_uris(f"spiffe://{trust_domain}"), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )


def leaf_certificate(
    request: LeafRequest,
    public_key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """A leaf with the request's SPIFFE ID, DNS names and addresses as subject alternative names."""
    if not (request.client or request.server):
        raise ValueError("a certificate must be good for clients, for servers, or for both")
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ostiary")])
    names = [
        x509.UniformResourceIdentifier(str(request.id)),
        *(x509.DNSName(name) for name in request.dns),
        *(x509.IPAddress(address) for address in request.ips),
    ]
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH] * request.client + [
        ExtendedKeyUsageOID.SERVER_AUTH
    ] * request.server
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(subject, issuer.subject, public_key, now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(issuer_key, SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
    )


def _uris(uri: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
