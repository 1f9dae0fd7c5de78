"""The authority: what it issues is accepted over TLS, and what it refuses to do."""

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from ostiary.pki import Authority, create_ca
from ostiary.pki.describe import describe, load_leaf
from ostiary.pki.files import PUBLIC, Content, replace
from ostiary.wire.certificates import verify_client_chain
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.deny_list import parse_deny_list
from ostiary.wire.identity import SpiffeId, spiffe_id_of

ID = SpiffeId("pki.test", "/role/gateway")
NAMES = ["gateway.pki.test", "localhost"]
ADDRESSES = [ip_address("127.0.0.1"), ip_address("::1")]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A new authority of the trust domain pki.test."""
    return create_ca(tmp_path / "pki", "pki.test")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def files(out: Path, authority: Authority) -> CredentialFiles:
    return CredentialFiles(
        out / "ca.pem", out / "cert.pem", out / "key.pem", authority.deny_list, trust_domain="pki.test"
    )


def test_issue_makes_good_credentials(authority: Authority, tmp_path: Path) -> None:
    """What is issued loads as credentials, carries the names asked for, and lives as long as asked."""
    before = datetime.now(UTC)
    authority.issue(tmp_path / "gw", ID, NAMES, ADDRESSES, timedelta(hours=2))
    CredentialSource(files(tmp_path / "gw", authority)).check()
    leaf = load_leaf(tmp_path / "gw" / "cert.pem")
    facts = describe(leaf)
    assert facts["id"] == str(ID)
    assert facts["dns"] == NAMES
    assert facts["ip"] == ["127.0.0.1", "::1"]
    assert facts["uses"] == ["client", "server"]
    assert timedelta(0) <= leaf.not_valid_after_utc - before - timedelta(hours=1.99) < timedelta(hours=1)
    assert verify_client_chain(leaf, [], [authority.certificate], before)


def test_keys_are_secret(authority: Authority, tmp_path: Path) -> None:
    """Private keys are readable by their owner alone, and nothing is left beside the files."""
    authority.issue(tmp_path / "gw", ID)
    assert mode(authority.folder / "ca.key") == mode(tmp_path / "gw" / "key.pem") == 0o600
    assert sorted(path.name for path in (tmp_path / "gw").iterdir()) == ["ca.pem", "cert.pem", "key.pem"]


def test_authority_is_never_overwritten(authority: Authority) -> None:
    """A folder that holds any file of an authority is refused, and what it holds stays as it was."""
    key = (authority.folder / "ca.key").read_bytes()
    with pytest.raises(ValueError, match="never overwritten"):
        create_ca(authority.folder, "pki.test")
    (authority.folder / "ca.pem").unlink()
    with pytest.raises(ValueError, match="never overwritten"):
        create_ca(authority.folder, "pki.test")
    assert (authority.folder / "ca.key").read_bytes() == key


def test_load(authority: Authority, tmp_path: Path) -> None:
    """An authority loads with its trust domain; a folder without one, or with a damaged one, is refused."""
    assert Authority.load(authority.folder).trust_domain == "pki.test"
    with pytest.raises(ValueError, match="make one with `ostiary pki init"):
        Authority.load(tmp_path)
    (authority.folder / "ca.pem").write_text("nothing")
    with pytest.raises(ValueError, match="damaged"):
        Authority.load(authority.folder)


@pytest.mark.parametrize("domain", ["", "Pki.test", "pki test", "pki:1"])
def test_bad_trust_domain(tmp_path: Path, domain: str) -> None:
    """A trust domain that SPIFFE does not allow makes no authority."""
    with pytest.raises(ValueError, match="trust domain"):
        create_ca(tmp_path / "pki", domain)
    assert not (tmp_path / "pki").exists()


def test_refuses_what_it_cannot_vouch_for(authority: Authority, tmp_path: Path) -> None:
    """IDs of other domains, lives beyond its own or of nothing, and useless certificates are refused."""
    out = tmp_path / "gw"
    with pytest.raises(ValueError, match="not of this authority's trust domain"):
        authority.issue(out, SpiffeId("other.test", "/x"))
    with pytest.raises(ValueError, match="the authority itself ends"):
        authority.issue(out, ID, lifetime=timedelta(days=366))
    with pytest.raises(ValueError, match="longer than nothing"):
        authority.issue(out, ID, lifetime=timedelta())
    with pytest.raises(ValueError, match="for clients, for servers, or for both"):
        authority.issue(out, ID, client=False, server=False)
    assert not out.exists()


def test_renew_keeps_names_and_life(authority: Authority, tmp_path: Path) -> None:
    """A renewed certificate has the same names, uses and length of life, a new key and a new serial."""
    out = tmp_path / "gw"
    old = authority.issue(out, ID, NAMES, ADDRESSES, timedelta(hours=3), server=False)
    new = authority.renew(out)
    assert describe(load_leaf(out / "cert.pem"))["serial"] != describe(old)["serial"]
    for key in ("id", "dns", "ip", "uses"):
        assert describe(new)[key] == describe(old)[key]
    assert new.public_key() != old.public_key()
    lives = [each.not_valid_after_utc - each.not_valid_before_utc for each in (old, new)]
    assert abs(lives[0] - lives[1]) <= timedelta(seconds=1)
    CredentialSource(files(out, authority)).check()


def test_running_endpoints_follow_renewals(authority: Authority, tmp_path: Path) -> None:
    """Credentials that are re-read during renewals always hold a matching pair, and end at the newest."""
    out = tmp_path / "gw"
    authority.issue(out, ID)
    source = CredentialSource(files(out, authority))
    source.check()
    for generation in range(2, 12):
        authority.renew(out)
        source.refresh()
        assert source.generation == generation


def test_failed_write_leaves_all_as_it_was(authority: Authority, tmp_path: Path) -> None:
    """Where not all files can be written, none is replaced, and nothing is left behind."""
    good, impossible = tmp_path / "good", tmp_path / "absent" / "file"
    good.write_text("old")
    with pytest.raises(FileNotFoundError):
        replace({good: Content(b"new", PUBLIC), impossible: Content(b"new", PUBLIC)})
    assert good.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "pki"]


def test_renew_after_renew_does_not_grow(authority: Authority, tmp_path: Path) -> None:
    """Renewing again and again does not stretch a certificate's life."""
    first = authority.issue(tmp_path / "gw", ID, lifetime=timedelta(hours=1))
    last = first
    for _ in range(5):
        last = authority.renew(tmp_path / "gw")
    assert last.not_valid_after_utc - last.not_valid_before_utc == (
        first.not_valid_after_utc - first.not_valid_before_utc
    )


def test_renew_refuses_strangers(authority: Authority, tmp_path: Path) -> None:
    """Neither nothing, nor another authority's certificate, is renewed."""
    with pytest.raises(ValueError, match="cannot be read"):
        authority.renew(tmp_path / "nobody")
    other = create_ca(tmp_path / "other", "pki.test")
    other.issue(tmp_path / "gw", ID)
    with pytest.raises(ValueError, match="not a certificate of this authority"):
        authority.renew(tmp_path / "gw")


def test_deny(authority: Authority) -> None:
    """A serial is added once, with its comment on one line, to a list that stays well-formed."""
    assert authority.deny(0xABC, "laptop\nlost")
    assert not authority.deny(0xABC, "again")
    authority.deny_list.write_text(authority.deny_list.read_text().rstrip("\n"))
    assert authority.deny(0xDEF, "")
    assert parse_deny_list(authority.deny_list.read_bytes()) == {0xABC, 0xDEF}


def test_authority_is_bound_to_its_trust_domain(authority: Authority) -> None:
    """The authority's certificate names its trust domain and may issue leaves alone."""
    certificate = authority.certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://pki.test"]
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)


def test_clock_is_given(tmp_path: Path) -> None:
    """An authority issues by the clock that it was given."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    authority = create_ca(tmp_path / "pki", "pki.test", clock=lambda: now)
    leaf = authority.issue(tmp_path / "gw", ID, lifetime=timedelta(hours=1))
    assert leaf.not_valid_after_utc == now + timedelta(hours=1)
    assert spiffe_id_of(leaf) == ID
