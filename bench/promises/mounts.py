"""Certificates on disk as orchestrators lay them out, and how they replace them."""

import os
import shutil
from pathlib import Path
from typing import Protocol

from cryptography import x509

from bench import forge
from ostiary.wire.credentials import CredentialFiles


class Mount(Protocol):
    """A folder of credentials that is replaced while somebody reads it."""

    files: CredentialFiles

    def put(self, holder: forge.Holder, *roots: x509.Certificate) -> None:
        """Replace certificate, key and authorities."""
        ...


class CertManager:
    """A mounted Secret of cert-manager: links through `..data`, which is swapped in one step."""

    def __init__(self, folder: Path) -> None:
        self.files = CredentialFiles(folder / "ca.crt", folder / "tls.crt", folder / "tls.key")
        self._folder = folder
        self._version = 0
        folder.mkdir(parents=True)
        for path in (self.files.ca, self.files.cert, self.files.key):
            path.symlink_to(Path("..data") / path.name)

    def put(self, holder: forge.Holder, *roots: x509.Certificate) -> None:
        """Writes a new folder, swaps the link, removes the old folder, as the kubelet does."""
        before = self._folder / f"..{self._version}"
        self._version += 1
        after = self._folder / f"..{self._version}"
        after.mkdir()
        (after / "tls.crt").write_bytes(forge.pem(holder.certificate, *holder.above))
        (after / "tls.key").write_bytes(holder.key_pem)
        (after / "ca.crt").write_bytes(forge.pem(*roots))
        link = self._folder / "..data_tmp"
        link.symlink_to(after.name)
        link.replace(self._folder / "..data")
        shutil.rmtree(before, ignore_errors=True)


class Spire:
    """What SPIRE's helper writes: each file in place, one after the other, the three never in one step."""

    def __init__(self, folder: Path) -> None:
        self.files = CredentialFiles(folder / "bundle.pem", folder / "svid.pem", folder / "svid_key.pem")
        folder.mkdir(parents=True)

    def put(self, holder: forge.Holder, *roots: x509.Certificate) -> None:
        """Writes the three files."""
        for path, data in (
            (self.files.cert, forge.pem(holder.certificate, *holder.above)),
            (self.files.key, holder.key_pem),
            (self.files.ca, forge.pem(*roots)),
        ):
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
