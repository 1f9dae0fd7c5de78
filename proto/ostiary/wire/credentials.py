"""TLS credentials that follow their files, and the check of who a peer is.

What is published has been checked before: the TLS runtime silently keeps its old credentials when it is
handed bad ones, so a bad new file is reported here, once, and the last good state stays.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import structlog

from ostiary.wire.certificates import Identity, check_alive, load_identity
from ostiary.wire.deny_list import parse_deny_list
from ostiary.wire.files import FileStamp, read_file, stamp
from ostiary.wire.identity import Peer
from ostiary.wire.peers import PeerVerifier
from ostiary.wire.reloads import Reloads

_CHECK_EVERY = timedelta(seconds=1)
# Orchestrators look every few seconds, and calls under way still need the certificate.
_ABOUT_TO_EXPIRE = timedelta(seconds=30)

_Stamps = tuple[FileStamp, ...]

_log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class CredentialFiles:
    """Where an endpoint's credentials lie."""

    ca: Path
    """Authorities whose peers are trusted, PEM."""
    cert: Path
    """Own certificate, leaf first, then any intermediates, PEM."""
    key: Path
    """Own private key, PEM, unencrypted."""
    deny_list: Path | None = None
    """Serials that are refused: one in hex per line, `#` begins a comment."""
    trust_domain: str = ""
    """The one trust domain that peers must belong to; empty: that of the own certificate."""


@dataclass(frozen=True)
class _State:
    identity: Identity
    denied: frozenset[int]
    verifier: PeerVerifier
    generation: int


class CredentialSource:
    """Loads, checks and re-reads an endpoint's credentials; safe to use from several threads.

    Files are looked at again on every TLS handshake of a server, and otherwise at most once a second.
    """

    def __init__(self, files: CredentialFiles, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.files = files
        self._clock = clock
        self._reloads = Reloads("certificates")
        self._lock = threading.Lock()
        self._state: _State | None = None
        self._stamps: _Stamps = ()
        self._rejected: _Stamps = ()
        self._checked_at = datetime.min.replace(tzinfo=UTC)

    @property
    def generation(self) -> int:
        """Changes whenever the certificate, the key or the authorities do; clients then need new channels."""
        self._refresh_if_due()
        return self._current().generation

    @property
    def trust_domain(self) -> str:
        """The one trust domain that peers must belong to."""
        return self._current().identity.trust_domain

    def check(self) -> None:
        """Raises ValueError, in words, unless the files are good now and the own certificate is alive."""
        with self._lock:
            stamps = self._stamp()
            self._publish(self._load(), stamps)

    def refresh(self) -> None:
        """Looks at the files now. Never raises: a bad new file is logged once; the last good state stays."""
        with self._lock:
            due = self._due()
            self._checked_at = self._clock()
            stamps = self._stamp()
            # What was rejected is tried again, but not on every handshake: it may only have been too early.
            if self._state is None or stamps == self._stamps or (stamps == self._rejected and not due):
                return
            try:
                state = self._load()
            except ValueError as error:
                self._reject(error, stamps)
                return
            # Files that changed while they were read are read again the next time.
            if stamps == self._stamp():
                self._publish(state, stamps)

    def alive(self) -> bool:
        """Whether the own certificate is within its life and will be for half a minute; if not, a server must
        not call itself healthy.
        """
        self._refresh_if_due()
        try:
            check_alive("cert", self._current().identity.leaf, self._clock() + _ABOUT_TO_EXPIRE)
        except ValueError:
            return False
        return True

    def server_credentials(self) -> grpc.ServerCredentials:
        """Credentials of a server that demands client certificates and follows the files."""
        configured = self._current()

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            # Runs on the TLS runtime's threads, once per handshake. None: nothing has changed.
            nonlocal configured
            self.refresh()
            current = self._current()
            if current.generation == configured.generation:
                return None
            configured = current
            return _server_configuration(current.identity)

        return grpc.dynamic_ssl_server_credentials(
            _server_configuration(configured.identity),
            fetch,  # type: ignore[arg-type]  # the stubs forget that None is allowed
            require_client_authentication=True,
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Credentials of a client as they are now; a channel keeps them for its life (see `generation`)."""
        self._refresh_if_due()
        identity = self._current().identity
        return grpc.ssl_channel_credentials(
            root_certificates=identity.ca_pem,
            private_key=identity.key_pem,
            certificate_chain=identity.cert_pem,
        )

    def peer(self, auth_context: Mapping[str, Iterable[bytes]]) -> Peer:
        """Who is calling, checked anew for this call.

        TLS 1.2 or newer, exactly one URI name that is a strict SPIFFE ID of this endpoint's trust domain, a
        chain to one of the current authorities, alive, and not on the deny-list; else
        OstiaryError(UNAUTHENTICATED).
        """
        self._refresh_if_due()
        state = self._current()
        return state.verifier.verify(auth_context, state.denied, self._clock())

    def _refresh_if_due(self) -> None:
        if self._due():
            self.refresh()

    def _due(self) -> bool:
        # A clock that went backwards makes a check due as well.
        return not timedelta() <= self._clock() - self._checked_at < _CHECK_EVERY

    def _current(self) -> _State:
        if self._state is None:
            self.check()
        return self._state  # type: ignore[return-value]  # check() publishes, or raises

    def _stamp(self) -> _Stamps:
        return tuple(stamp(path) for path in self._paths())

    def _paths(self) -> Iterable[Path]:
        yield from (self.files.ca, self.files.cert, self.files.key)
        if self.files.deny_list is not None:
            yield self.files.deny_list

    def _load(self) -> _State:
        contents = {path: read_file(path) for path in self._paths()}
        files = self.files
        try:
            identity = load_identity(
                contents[files.ca],
                contents[files.cert],
                contents[files.key],
                trust_domain=files.trust_domain,
                now=self._clock(),
            )
        except ValueError as error:
            raise ValueError(f"{error} (ca {files.ca}, cert {files.cert}, key {files.key})") from error
        return self._state_of(identity, self._parse_denied(contents))

    def _parse_denied(self, contents: Mapping[Path, bytes]) -> frozenset[int]:
        if self.files.deny_list is None:
            return frozenset()
        try:
            return parse_deny_list(contents[self.files.deny_list])
        except ValueError as error:
            raise ValueError(f"deny_list {self.files.deny_list}: {error}") from error

    def _state_of(self, identity: Identity, denied: frozenset[int]) -> _State:
        last = self._state
        if last is not None and last.identity == identity:
            return replace(last, denied=denied)
        verifier = PeerVerifier(identity.roots, identity.trust_domain)
        return _State(identity, denied, verifier, 1 if last is None else last.generation + 1)

    def _publish(self, state: _State, stamps: _Stamps) -> None:
        last, self._state = self._state, state
        self._stamps, self._rejected = stamps, ()
        if last is not None:
            self._reloads.applied()
            _log.info("credentials.reloaded", generation=state.generation, denied=len(state.denied))

    def _reject(self, error: ValueError, stamps: _Stamps) -> None:
        if stamps != self._rejected:
            self._reloads.rejected()
            _log.error("credentials.rejected", error=str(error), files=str(self.files.cert.parent))
        self._rejected = stamps


def _server_configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key_pem, identity.cert_pem)], root_certificates=identity.ca_pem
    )
