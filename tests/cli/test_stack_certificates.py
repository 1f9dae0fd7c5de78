"""The certificates of a local stack."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ostiary.cli.stack.certificates import LIFETIME, RENEW_BEFORE, fresh, issue_all
from ostiary.cli.stack.layout import ROLES, Layout
from ostiary.pki import Authority, create_ca
from ostiary.wire.identity import SpiffeId, spiffe_id_of

EXPECTED = {
    "gateway": "spiffe://ostiary.local/role/gateway",
    "pods/0": "spiffe://ostiary.local/role/pod",
    "pods/1": "spiffe://ostiary.local/role/pod",
    **{role: f"spiffe://ostiary.local/tenant/demo/role/{role}" for role in ROLES},
}


def certificate(layout: Layout, folder: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((layout.root / folder / "cert.pem").read_bytes())


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    layout = Layout(tmp_path_factory.mktemp("stack"))
    issue_all(layout, pods=2)
    return layout


@pytest.mark.parametrize("folder", EXPECTED)
def test_each_has_its_own(layout: Layout, folder: str) -> None:
    """Every process and role has a key of its own, readable by nobody else, and its SPIFFE ID."""
    assert str(spiffe_id_of(certificate(layout, folder))) == EXPECTED[folder]
    assert (layout.root / folder / "key.pem").stat().st_mode & 0o077 == 0


def test_nothing_is_renewed_early(layout: Layout) -> None:
    """A second run leaves fresh certificates as they are."""
    before = {folder: certificate(layout, folder).serial_number for folder in EXPECTED}
    issue_all(layout, pods=2)
    assert {folder: certificate(layout, folder).serial_number for folder in EXPECTED} == before


def test_missing_and_foreign_ones_are_replaced(tmp_path: Path) -> None:
    """A certificate that is gone, or of an authority that is not the stack's, is issued anew."""
    layout = Layout(tmp_path)
    issue_all(layout, pods=1)
    foreign = create_ca(tmp_path / "foreign", "ostiary.local")
    foreign.issue(layout.gateway, SpiffeId("ostiary.local", "/role/gateway"), lifetime=LIFETIME)
    (layout.role("pipeline") / "cert.pem").unlink()
    issue_all(layout, pods=1)
    root = Authority.load(layout.pki).certificate
    for folder in ("gateway", "pipeline"):
        certificate(layout, folder).verify_directly_issued_by(root)


@pytest.mark.parametrize(
    ("left", "kept"),
    [(timedelta(seconds=1), True), (timedelta(), False), (-RENEW_BEFORE, False)],
    ids=["just before", "when due", "expired"],
)
def test_when_it_is_renewed(layout: Layout, left: timedelta, kept: bool) -> None:
    """A certificate is kept until it comes near its end."""
    issuer = Authority.load(layout.pki).certificate
    now = certificate(layout, "gateway").not_valid_after_utc - RENEW_BEFORE - left
    assert fresh(issuer, layout.gateway / "cert.pem", now) is kept


def test_a_damaged_authority_is_told(tmp_path: Path) -> None:
    """An authority that cannot be used is never replaced behind one's back."""
    (tmp_path / "pki").mkdir()
    with pytest.raises(ValueError, match="holds no authority"):
        issue_all(Layout(tmp_path), pods=1)


def test_lifetime(layout: Layout) -> None:
    """Certificates of a local stack live for a week."""
    left = certificate(layout, "gateway").not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
