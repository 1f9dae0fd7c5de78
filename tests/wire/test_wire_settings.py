"""Settings files: YAML, overrides from the environment, and errors that name file and key."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from ostiary.wire.settings import load_settings


class Tls(BaseModel):
    model_config = ConfigDict(frozen=True)
    ca: Path
    deny_list: Path | None = None
    trust_domain: str = ""


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True)
    listen: str
    tls: Tls
    clients: list[str] = []
    threads: int = 1
    otlp_endpoint: str | None = None
    store: Path = Path("data/store.db")
    extra_files: tuple[Path, ...] = ()


GOOD = "listen: 127.0.0.1:8443\ntls: {ca: ca.pem}\nextra_files: [a, /b]\n"


def load(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    path = folder / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    return load_settings(Settings, path, "GW_", environ or {})


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """Given and default paths are put under the file's folder; absolute ones stay."""
    settings = load(tmp_path, GOOD)
    assert settings.tls.ca == tmp_path / "ca.pem"
    assert settings.store == tmp_path / "data/store.db"
    assert settings.extra_files == (tmp_path / "a", Path("/b"))
    assert settings.tls.deny_list is None


def test_environment_overrides(tmp_path: Path) -> None:
    """Variables override single keys, nested by two underscores; their paths are the working folder's."""
    settings = load(
        tmp_path,
        GOOD + "otlp_endpoint: http://here:4317\n",
        {
            "GW_LISTEN": "0.0.0.0:1",
            "GW_TLS__TRUST_DOMAIN": "td",
            "GW_TLS__CA": "other.pem",
            "GW_CLIENTS": '["a", "b"]',
            "GW_THREADS": "4",
            "GW_OTLP_ENDPOINT": "null",
            "OTHER": "x",
        },
    )
    assert settings == Settings(
        listen="0.0.0.0:1",
        tls=Tls(ca=Path("other.pem"), trust_domain="td"),
        clients=["a", "b"],
        threads=4,
        store=tmp_path / "data/store.db",
        extra_files=(tmp_path / "a", Path("/b")),
    )


def test_service_links_of_kubernetes_are_left_alone(tmp_path: Path) -> None:
    """What Kubernetes sets for a Service of the same name does not count as settings."""
    links = {
        "GW_SERVICE_HOST": "10.0.0.1",
        "GW_SERVICE_PORT": "8443",
        "GW_SERVICE_PORT_GRPC": "8443",
        "GW_PORT": "tcp://10.0.0.1:8443",
        "GW_PORT_8443_TCP": "tcp://10.0.0.1:8443",
        "GW_PORT_8443_TCP_ADDR": "10.0.0.1",
        "GW_INTERNAL_SERVICE_HOST": "10.0.0.2",
    }
    assert load(tmp_path, GOOD, links) == load(tmp_path, GOOD)
    with pytest.raises(ValueError, match="port: there is no such key"):
        load(tmp_path, GOOD, {"GW_PORT": "8443"})


BAD = {
    "unknown key": (GOOD + "lisen: x\n", {}, r"lisen: there is no such key"),
    "unknown nested key": ("listen: a\ntls: {ca: a, cert: b}\n", {}, r"tls\.cert: there is no such key"),
    "unknown variable": (GOOD, {"GW_LISEN": "x"}, r"lisen: there is no such key"),
    "missing": ("tls: {ca: a}\n", {}, r"listen: field required"),
    "missing nested": ("listen: a\ntls: {}\n", {}, r"tls\.ca: field required"),
    "empty": ("", {}, r"listen: field required; tls: field required"),
    "wrong type": (GOOD + "threads: many\n", {}, r"threads: input should be a valid integer"),
    "wrong item": (GOOD + "clients: [1]\n", {}, r"clients\.0: input should be a valid string"),
    "no mapping": ("- a\n", {}, r"must hold keys and values, not a list"),
    "no YAML": ("a: [\n", {}, r"is not YAML"),
    "no YAML in a variable": (GOOD, {"GW_CLIENTS": "["}, r"GW_CLIENTS is not YAML"),
}


@pytest.mark.parametrize(("text", "environ", "words"), BAD.values(), ids=BAD.keys())
def test_errors_name_file_and_key(tmp_path: Path, text: str, environ: dict[str, str], words: str) -> None:
    """Every wrong, unknown or missing key is refused by its name, and the file is named."""
    with pytest.raises(ValueError, match=words) as caught:
        load(tmp_path, text, environ)
    assert "gateway.yaml" in str(caught.value) or "GW_" in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is an error that names it."""
    with pytest.raises(ValueError, match=r"absent\.yaml cannot be read"):
        load_settings(Settings, tmp_path / "absent.yaml", "GW_", {})
