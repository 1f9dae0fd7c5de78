"""Credentials that follow their files: what is published, what is refused, and when."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bench import forge
from ostiary.wire.credentials import CredentialSource
from wire.kit import DOMAIN, SERVER_ID, Clock, Site

Spoil = Callable[[Site], None]


def _server_leaf(site: Site, **options: object) -> forge.Holder:
    return forge.leaf(site.root, str(SERVER_ID), dns=["localhost"], **options)  # type: ignore[arg-type]


BAD: dict[str, tuple[Spoil, str]] = {
    "no ca": (lambda s: s.server_files.ca.unlink(), "ca.pem cannot be read"),
    "no cert": (lambda s: s.server_files.cert.unlink(), "cert.pem cannot be read"),
    "no key": (lambda s: s.server_files.key.unlink(), "key.pem cannot be read"),
    "no deny-list": (lambda s: _deny(s).unlink(), "deny.txt cannot be read"),
    "empty ca": (lambda s: s.server_files.ca.write_bytes(b""), "ca holds no certificate in PEM"),
    "half a cert": (lambda s: _halve(s.server_files.cert), "cert holds no certificate in PEM"),
    "half a key": (lambda s: _halve(s.server_files.key), "not an unencrypted private key"),
    "another key": (lambda s: s.server_files.key.write_bytes(s.root.key_pem), "key does not belong to cert"),
    "expired": (
        lambda s: _write(s, _server_leaf(s, life=(-2 * forge.HOUR, -forge.HOUR))),
        "cert expired at",
    ),
    "not yet valid": (
        lambda s: _write(s, _server_leaf(s, life=(forge.HOUR, 2 * forge.HOUR))),
        "cert is not valid before",
    ),
    "ca is a leaf": (
        lambda s: s.server_files.ca.write_bytes(forge.pem(_server_leaf(s).certificate)),
        "not a certificate authority",
    ),
    "ca of another trust domain": (
        lambda s: s.server_files.ca.write_bytes(
            forge.pem(s.root.certificate, forge.authority(trust_domain="other.test").certificate)
        ),
        "authority of trust domain other.test",
    ),
    "expired ca": (
        lambda s: s.server_files.ca.write_bytes(
            forge.pem(forge.authority(life=(-2 * forge.HOUR, -forge.HOUR)).certificate)
        ),
        "no certificate that is within its life",
    ),
    "bad deny-list": (lambda s: _deny(s).write_text("12ab\nnot hex\n"), "line 2: 'not hex'"),
}


def _halve(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _write(site: Site, holder: forge.Holder) -> None:
    site.server_files.cert.write_bytes(forge.pem(holder.certificate))
    site.server_files.key.write_bytes(holder.key_pem)


def _deny(site: Site) -> Path:
    assert site.server_files.deny_list is not None
    return site.server_files.deny_list


@pytest.mark.parametrize(("spoil", "words"), BAD.values(), ids=BAD.keys())
def test_check_says_what_is_wrong(site: Site, spoil: Spoil, words: str) -> None:
    """At start, bad files are a ValueError that names the file and the fault."""
    spoil(site)
    with pytest.raises(ValueError, match=words):
        CredentialSource(site.server_files).check()


@pytest.mark.parametrize(("spoil", "words"), BAD.values(), ids=BAD.keys())
def test_bad_new_file_keeps_the_last_good(site: Site, spoil: Spoil, words: str) -> None:
    """While running, a bad new file is logged once, and the last good state stays in force."""
    clock = Clock()
    source = CredentialSource(site.server_files, clock=clock)
    source.check()
    generation = source.generation
    spoil(site)
    with capture_logs() as logs:
        for _ in range(3):
            clock.advance(1)
            source.refresh()
    assert source.generation == generation
    assert source.alive()
    assert [event["event"] for event in logs] == ["credentials.rejected"]
    assert words in logs[0]["error"]


def test_rejected_files_are_tried_again(site: Site) -> None:
    """A certificate that came too early for this clock is taken once its time has come."""
    clock = Clock()
    source = CredentialSource(site.server_files, clock=clock)
    generation = source.generation
    _write(site, _server_leaf(site, life=(timedelta(minutes=1), forge.HOUR)))
    clock.advance(1)
    assert source.generation == generation
    clock.advance(60)
    assert source.generation == generation + 1


def test_files_are_looked_at_once_a_second(site: Site) -> None:
    """A new file is noticed within a second, and not looked for more often than that."""
    clock = Clock()
    source = CredentialSource(site.server_files, clock=clock)
    generation = source.generation
    clock.advance(1)
    assert source.generation == generation
    _write(site, _server_leaf(site))
    clock.advance(0.9)
    assert source.generation == generation
    clock.advance(0.1)
    assert source.generation == generation + 1


def test_deny_list_alone_does_not_change_the_generation(site: Site) -> None:
    """Clients need no new channels because a serial was denied."""
    clock = Clock()
    source = CredentialSource(site.server_files, clock=clock)
    generation = source.generation
    _deny(site).write_text("ab:cd\n")
    clock.advance(1)
    assert source.generation == generation


def test_clock_that_goes_backwards(site: Site) -> None:
    """A clock that is set back does not stop files from being noticed."""
    clock = Clock()
    source = CredentialSource(site.server_files, clock=clock)
    generation = source.generation
    clock.advance(-600)
    _write(site, _server_leaf(site))
    assert source.generation == generation + 1


def test_expired_while_running(site: Site) -> None:
    """An own certificate that has expired is not alive, though it is still the last good one."""
    clock = Clock()
    source = CredentialSource(site.server_files, clock=clock)
    assert source.alive()
    clock.advance(3601)
    assert not source.alive()


def test_trust_domain_defaults_to_ones_own(site: Site) -> None:
    """Without a trust domain in the settings, that of the own certificate counts; else the given one."""
    assert CredentialSource(site.server_files).trust_domain == DOMAIN
    other = replace(site.server_files, trust_domain="other.test")
    with pytest.raises(ValueError, match=r"trusts other\.test alone"):
        CredentialSource(other).check()


def test_symbolic_links_are_followed(site: Site, tmp_path: Path) -> None:
    """A secret that is rotated by swapping a symbolic link to its folder is noticed."""
    clock = Clock()
    current = tmp_path / "current"
    current.symlink_to(site.server_files.cert.parent)
    source = CredentialSource(
        replace(site.server_files, ca=current / "ca.pem", cert=current / "cert.pem", key=current / "key.pem"),
        clock=clock,
    )
    generation = source.generation
    _server_leaf(site).write(tmp_path / "next", site.root.certificate)
    (tmp_path / "link").symlink_to(tmp_path / "next")
    (tmp_path / "link").rename(current)
    clock.advance(1)
    assert source.generation == generation + 1
