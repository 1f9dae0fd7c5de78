"""The settings files of a local stack."""

import socket
from pathlib import Path

import pytest
import yaml
from google.protobuf.json_format import ParseDict

from ostiary.cli.stack import files
from ostiary.cli.stack.layout import ROLES, Layout
from ostiary.client import Profile
from ostiary.v1.config_pb2 import TrafficRoute


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def test_free_ports_differ() -> None:
    """Ports are chosen so that no two services get the same."""
    ports = files.free_ports(20)
    assert len(set(ports)) == 20
    assert all(port in files.PORTS for port in ports)


def test_ports_in_use_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that somebody listens on is never chosen; without a free one that is said."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(files, "PORTS", range(port, port + 1))
        with pytest.raises(ValueError, match="no 1 free ports"):
            files.free_ports(1)


def test_ports_stay(layout: Layout) -> None:
    """A second run keeps every address."""
    first = files.write_gateway(layout, 0), files.write_pod(layout, 0, "mini", 1)
    assert (files.write_gateway(layout, 0), files.write_pod(layout, 0, "mini", 1)) == first


def test_a_port_asked_for(layout: Layout) -> None:
    """--port holds, also against the one that was chosen before, and is kept from then on."""
    files.write_gateway(layout, 0)
    assert files.write_gateway(layout, 18443) == "127.0.0.1:18443"
    assert files.write_gateway(layout, 0) == "127.0.0.1:18443"


def test_edits_stay(layout: Layout) -> None:
    """What people have changed or added in a settings file is still there after the next run."""
    files.write_gateway(layout, 0)
    values = yaml.safe_load(layout.gateway_yaml.read_text())
    edited = values | {"log_format": "json", "otlp_endpoint": "http://127.0.0.1:4317"}
    layout.gateway_yaml.write_text("# mine\n" + yaml.safe_dump(edited))
    files.write_gateway(layout, 0)
    assert yaml.safe_load(layout.gateway_yaml.read_text()) == edited
    assert layout.gateway_yaml.read_text().startswith("# mine\n")


def test_bundle_follows_the_command_line(layout: Layout) -> None:
    """Another bundle replaces the one before and nothing else."""
    files.write_pod(layout, 0, "mini", 1)
    before = yaml.safe_load(layout.pod_yaml(0).read_text())
    files.write_pod(layout, 0, "/models/large", 1)
    assert yaml.safe_load(layout.pod_yaml(0).read_text()) == before | {"bundle": "/models/large"}


def test_route(layout: Layout) -> None:
    """The route is a TrafficRoute whose epoch grows with each change, and with nothing else."""
    layout.gateway.mkdir(parents=True)
    epochs = []
    for addresses in (["a:1"], ["a:1"], ["a:1", "b:2"], ["a:1"]):
        files.write_route(layout, addresses)
        route = ParseDict(yaml.safe_load((layout.gateway / "route.yaml").read_text()), TrafficRoute())
        assert [endpoint.address for endpoint in route.versions[0].endpoints] == addresses
        assert sum(version.weight for version in route.versions) == 10_000
        assert {endpoint.server_name for endpoint in route.versions[0].endpoints} == {"pod.ostiary.local"}
        epochs.append(route.epoch)
    assert epochs == [1, 1, 2, 3]


def test_profiles(layout: Layout) -> None:
    """Each role gets a profile that the client can load."""
    files.write_profiles(layout, "127.0.0.1:8443")
    for role in ROLES:
        profile = Profile.load(layout.role(role))
        assert (profile.endpoint, profile.server_name) == ("127.0.0.1:8443", "gateway.ostiary.local")
        assert profile.cert.parent.resolve() == layout.role(role).resolve()


@pytest.mark.parametrize("text", ["listen: [", "- a"], ids=["no YAML", "a list"])
def test_damaged(layout: Layout, text: str) -> None:
    """A file that cannot be read is named, and never overwritten."""
    layout.gateway.mkdir(parents=True)
    layout.gateway_yaml.write_text(text)
    with pytest.raises(ValueError, match=r"gateway\.yaml"):
        files.write_gateway(layout, 0)
    assert layout.gateway_yaml.read_text() == text
