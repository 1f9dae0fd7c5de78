"""Who can talk to the cluster: its certificate, its tokens, and a kubeconfig that has both."""

import base64
import hashlib
import hmac
import secrets
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ostiary_operator.sandbox.api.request import Caller

_LIFE = timedelta(days=365)
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")

ADMIN = Caller("sandbox-admin", ("system:masters",))


def make_certificates(folder: Path, addresses: tuple[str, ...] = ("127.0.0.1", "::1")) -> None:
    """Writes ca.pem, server.pem and server.key (mode 0600) into `folder`; those that are there stay."""
    if (folder / "server.key").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox authority")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox")])

    def begun(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + _LIFE)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    words = ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    usage = dict.fromkeys(words, False)
    ca = (
        begun(issuer, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_encipherment=False, key_cert_sign=True, crl_sign=True, **usage
            ),
            critical=True,
        )
        .sign(ca_key, SHA256())
    )
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _NAMES]
    names += [x509.IPAddress(ip_address(address)) for address in addresses]
    leaf = (
        begun(subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_encipherment=True, key_cert_sign=False, crl_sign=False, **usage
            ),
            critical=True,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, SHA256())
    )
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    private = folder / "server.key"
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def server_context(folder: Path) -> ssl.SSLContext:
    """TLS for the server, with what `make_certificates` wrote."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


@dataclass
class Tokens:
    """Bearer tokens: those given out by name, and service accounts' own, which are computed from a secret."""

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    given: dict[str, Caller] = field(default_factory=dict)

    def give(self, caller: Caller, token: str | None = None) -> str:
        """A token for a caller."""
        token = token or secrets.token_urlsafe(24)
        self.given[token] = caller
        return token

    def for_service_account(self, namespace: str, name: str) -> str:
        """The token of a service account."""
        who = base64.urlsafe_b64encode(f"{namespace}/{name}".encode()).decode().rstrip("=")
        return f"sa.{who}.{self._seal(f'{namespace}/{name}')}"

    def _seal(self, text: str) -> str:
        return hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()

    def caller(self, token: str) -> Caller | None:
        """Who has this token."""
        if found := self.given.get(token):
            return found
        head, _, rest = token.partition(".")
        who, _, seal = rest.partition(".")
        if head != "sa" or not seal:
            return None
        try:
            text = base64.urlsafe_b64decode(who + "=" * (-len(who) % 4)).decode()
        except ValueError:
            return None
        namespace, _, name = text.partition("/")
        if not hmac.compare_digest(seal.encode(), self._seal(text).encode()):
            return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return Caller(f"system:serviceaccount:{namespace}:{name}", groups)


def kubeconfig(server: str, authority: bytes, token: str, namespace: str = "default") -> str:
    """A kubeconfig for one user of one cluster."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "sandbox",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(authority).decode(),
                },
            }
        ],
        "users": [{"name": "sandbox", "user": {"token": token}}],
        "contexts": [
            {"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": namespace}}
        ],
        "current-context": "sandbox",
    }
    return yaml.safe_dump(document, sort_keys=False)
