"""pod.yaml."""

import os
from pathlib import Path

import pytest

from ostiary_moderation.settings import load_pod_settings

GOOD = """
listen: 127.0.0.1:0
tls: {ca: ca.pem, cert: cert.pem, key: key.pem}
clients: ["spiffe://ostiary.local/role/gateway"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pod.yaml"
    path.write_text(GOOD)
    return path


def test_paths_are_relative_to_the_file(file: Path) -> None:
    """Certificates are found beside the file; the rest has defaults."""
    settings = load_pod_settings(file)
    assert settings.tls.files().cert == file.parent / "cert.pem"
    assert (settings.bundle, settings.threads, settings.max_in_flight) == ("mini", 1, 32)


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (64, 4)])
def test_images_are_decoded_on_all_cores(
    file: Path, monkeypatch: pytest.MonkeyPatch, cores: int, workers: int
) -> None:
    """As many decoders as the process may use cores, but four at most, unless the file says otherwise."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert load_pod_settings(file).decode_workers == workers
    file.write_text(GOOD + "decode_workers: 7")
    assert load_pod_settings(file).decode_workers == 7


def test_a_bundle_beside_the_file_is_found(file: Path) -> None:
    """A folder's name is relative to the file; any other name is left for the shipped bundles."""
    (file.parent / "ours").mkdir()
    file.write_text(GOOD + "bundle: ours")
    assert load_pod_settings(file).bundle == str(file.parent / "ours")


def test_the_environment_overrides(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OSTIARY_POD_ variables win over the file."""
    monkeypatch.setenv("OSTIARY_POD_THREADS", "4")
    assert load_pod_settings(file).threads == 4


def test_the_keeper_says_which_bundle(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its variable wins over the file's digest; what is no digest is refused."""
    file.write_text(GOOD + f"bundle_digest: sha256:{'1' * 64}")
    assert load_pod_settings(file).bundle_digest == f"sha256:{'1' * 64}"
    monkeypatch.setenv("OSTIARY_BUNDLE_DIGEST", f"sha256:{'2' * 64}")
    assert load_pod_settings(file).bundle_digest == f"sha256:{'2' * 64}"
    monkeypatch.setenv("OSTIARY_BUNDLE_DIGEST", "2" * 64)
    with pytest.raises(ValueError, match="bundle_digest"):
        load_pod_settings(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("thread: 2", "thread: there is no such key"),
        ("threads: 0", "threads"),
        ('clients: ["gateway"]', "clients"),
        ("clients: []", "clients"),
        ("decode_workers: many", "decode_workers"),
    ],
)
def test_bad_settings_are_named(file: Path, text: str, words: str) -> None:
    """The message names the file and the key."""
    key = text.split(":")[0]
    kept = [line for line in GOOD.splitlines() if not line.startswith(f"{key}:")]
    file.write_text("\n".join([*kept, text]))
    with pytest.raises(ValueError, match=words) as failure:
        load_pod_settings(file)
    assert str(file) in str(failure.value)
