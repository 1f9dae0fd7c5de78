"""Certificates as cert-manager and SPIRE lay them out, rotated while they are read."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bench import forge
from bench.promises.mounts import CertManager, Mount, Spire
from ostiary.wire.credentials import CredentialSource
from wire.kit import DOMAIN, SERVER_ID, Clock

LAYOUTS: dict[str, Callable[[Path], Mount]] = {"cert-manager": CertManager, "SPIRE": Spire}


def leaf(root: forge.Holder) -> forge.Holder:
    return forge.leaf(root, str(SERVER_ID), dns=["localhost"])


@pytest.fixture(params=LAYOUTS)
def mount(request: pytest.FixtureRequest, tmp_path: Path) -> Mount:
    """A folder of each layout."""
    return LAYOUTS[request.param](tmp_path / "mount")


def test_each_rotation_is_taken_up(mount: Mount) -> None:
    """Leaves and authorities, one generation each, and nothing is refused on the way."""
    root, clock = forge.authority(trust_domain=DOMAIN), Clock()
    mount.put(leaf(root), root.certificate)
    source = CredentialSource(mount.files, clock=clock)
    source.check()
    with capture_logs() as logs:
        for _ in range(5):
            before, other = source.generation, forge.authority("other", trust_domain=DOMAIN)
            for issuer, roots in ((root, (root, other)), (other, (root, other)), (other, (other,))):
                mount.put(leaf(issuer), *(each.certificate for each in roots))
                clock.advance(1)
                assert source.generation == before + 1
                before = source.generation
            root = other
    assert [entry["event"] for entry in logs] == ["credentials.reloaded"] * 15


@pytest.mark.parametrize("written", [1, 2], ids=["certificate alone", "certificate and key"])
def test_a_rotation_that_is_half_written_waits(tmp_path: Path, written: int) -> None:
    """SPIRE's helper writes one file after the other: until they fit together, the last good state stays."""
    root, other, clock = forge.authority(trust_domain=DOMAIN), forge.authority(trust_domain=DOMAIN), Clock()
    mount = Spire(tmp_path / "mount")
    mount.put(leaf(root), root.certificate)
    source = CredentialSource(mount.files, clock=clock)
    before, after = source.generation, Spire(tmp_path / "after")
    after.put(leaf(other), other.certificate)
    files = ("cert", "key", "ca")
    for name in files[:written]:
        getattr(mount.files, name).write_bytes(getattr(after.files, name).read_bytes())
    clock.advance(1)
    # Certificate and key fit together: that their authority is not yet trusted here is the peers' affair.
    assert source.generation == before + (written == 2)
    for name in files[written:]:
        getattr(mount.files, name).write_bytes(getattr(after.files, name).read_bytes())
    clock.advance(1)
    assert source.generation == before + written
