"""A whole pod: the real engine, the real detectors, over mutual TLS; started as the command starts it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import yaml
from typer.testing import CliRunner

from moderation.pod.galleries import mark, put
from moderation.pod.parts import card, check, printed, qr_code
from ostiary.pki import create_ca
from ostiary.v1.inference_pb2 import InferRequest, StatusRequest
from ostiary.v1.inference_pb2_grpc import InferenceServiceStub
from ostiary.v1.listing_pb2 import Wants
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.identity import SpiffeId
from ostiary_moderation.bundle import Bundle, Manifest
from ostiary_moderation.cli.pod import app
from ostiary_moderation.serve import pod
from ostiary_moderation.settings import load_pod_settings
from ostiary_moderation.training import library
from ostiary_moderation.training.architecture import build_config, build_model
from ostiary_moderation.training.export import write_manifest, write_model
from ostiary_moderation.training.tokenizer import build_tokenizer


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle folder of the embedded bundle's making, its architecture 64 wide with random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = build_tokenizer(Manifest.model_validate(library.manifest("0" * 64, {})), seed=1)
    write_model(folder, build_model(build_config(tokenizer, width=64), seed=1), tokenizer)
    write_manifest(folder, {})
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pod's folder with certificates and pod.yaml; a gateway's beside it."""
    folder = tmp_path_factory.mktemp("site")
    authority = create_ca(folder / "pki", "pod.test")
    for role in ("pod", "gateway"):
        authority.issue(folder / role, SpiffeId("pod.test", f"/role/{role}"), dns=["pod.test"])
    values = {
        "listen": "127.0.0.1:0",
        "health": "127.0.0.1:0",
        "tls": {name: f"{name}.pem" for name in ("ca", "cert", "key")},
        "clients": ["spiffe://pod.test/role/gateway"],
        "log_format": "text",
    }
    (folder / "pod/pod.yaml").write_text(yaml.safe_dump(values))
    return folder / "pod/pod.yaml"


def gateway(config: Path, address: str) -> grpc.aio.Channel:
    folder = config.parent.parent / "gateway"
    files = CredentialFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    return open_channel(address, CredentialSource(files), server_name="pod.test")


async def test_a_pod_looks(config: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Model and detectors answer together, and the pod names the digests that it measured."""
    await look_with(str(tiny), config, monkeypatch)


async def test_a_pod_looks_with_the_shipped_bundle(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle that comes with the package does the same."""
    await look_with("mini", config, monkeypatch)


async def test_a_pod_compares_with_a_pushed_gallery(
    config: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle with `logo` judges brands from the first gallery on: the mark in an image is proposed."""
    monkeypatch.setenv("OSTIARY_POD_BUNDLE", str(tiny))
    request = InferRequest(check_request=check([printed("LARKFIELD")]).SerializeToString())
    async with pod(load_pod_settings(config)) as server, gateway(config, server.address) as channel:
        stub = InferenceServiceStub(channel)
        before = (await stub.Infer(request, timeout=60)).observations
        gallery = await stub.PutGallery(put(mark("larkfield", "Larkfield")))
        after = (await stub.Infer(request, timeout=60)).observations
    assert "logo" in {detector.name for detector in before.detectors}
    assert not before.brands
    assert "logo_infringement" not in before.capabilities
    assert "logo_infringement" in after.capabilities
    assert after.gallery_digest == gallery.digest
    (candidate,) = after.brands
    assert (candidate.brand, candidate.reference_id, candidate.kind) == (
        "larkfield",
        "larkfield-word",
        "word",
    )
    assert candidate.score > 0.9


async def test_many_checks_at_once(config: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks of all shapes that are in flight together are each told of their own images."""
    monkeypatch.setenv("OSTIARY_POD_BUNDLE", str(tiny))
    monkeypatch.setenv("OSTIARY_POD_IMAGE_MEMORY_MIB", "1")
    shapes = [(90 + 40 * number, 300 - 20 * number) for number in range(12)]
    async with pod(load_pod_settings(config)) as server, gateway(config, server.address) as channel:
        stub = InferenceServiceStub(channel)
        requests = [check([card("navy", shape), card("red", shape[::-1])]) for shape in shapes]
        for request in requests:
            request.wants.CopyFrom(Wants(description=True, attributes=True))
        sent = [InferRequest(check_request=request.SerializeToString()) for request in requests]
        responses = await asyncio.gather(*(stub.Infer(request, timeout=60) for request in sent))
        status = await stub.Status(StatusRequest())
    for response, (width, height) in zip(responses, shapes, strict=True):
        sizes = [(image.width, image.height) for image in response.observations.images]
        assert sizes == [(width, height), (height, width)]
        assert len(response.observations.attributes) == 8
        stages = {timing.stage for timing in response.timings}
        assert {"queue", "decode", "wait", "look", "describe"} <= stages
    assert (status.in_flight, status.queued, status.images_waiting) == (0, 0, 0)


async def look_with(name: str, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start a pod on a bundle, send it three images, one of them broken, and hold it to the contract."""
    monkeypatch.setenv("OSTIARY_POD_BUNDLE", name)
    async with pod(load_pod_settings(config)) as server, gateway(config, server.address) as channel:
        stub = InferenceServiceStub(channel)
        request = check([qr_code("https://example.com/shop"), b"junk", card("navy", (200, 300))])
        response = await stub.Infer(InferRequest(check_request=request.SerializeToString()), timeout=60)
        status = await stub.Status(StatusRequest())
    bundle, seen = Bundle.load(name), response.observations
    assert seen.bundle.digest == status.bundle.digest == bundle.digest
    assert seen.bundle.weights_digest == bundle.weights_digest
    assert [code.text for code in seen.barcodes] == ["https://example.com/shop"]
    assert [fault.image_index for fault in seen.faults] == [1]
    asked = {(question.id, image) for question in bundle.manifest.questions for image in (0, 2)}
    assert {(score.question, score.image_index) for score in seen.scores} == asked
    assert len(seen.attributes) == 8
    assert {"prohibited_ads"} <= set(seen.capabilities)
    assert all(detector.completed for detector in seen.detectors)


def test_the_command_serves_until_it_is_told_to_stop(config: Path, tiny: Path) -> None:
    """`ostiary pod serve` says when it is ready, drains on SIGTERM, and leaves no process behind."""
    command = [sys.executable, "-c", "from ostiary.cli.main import main; main()"]
    arguments = ["pod", "serve", "--config", str(config)]
    environment = {**os.environ, "OSTIARY_POD_LOG_FORMAT": "json", "OSTIARY_POD_BUNDLE": str(tiny)}
    with subprocess.Popen(
        command + arguments, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        log: list[str] = []
        while not log or '"ready"' not in log[-1]:
            log.append(next(process.stdout, '"ready" never came'))
        decoders = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGTERM)
        log.extend(process.stdout)
    assert process.returncode == 0, "".join(log)
    assert len(decoders) == load_pod_settings(config).decode_workers + 1
    for pid in decoders:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot be read"), ("listen: x", "tls"), ("clients: [x", "not YAML")],
    ids=["no file", "keys missing", "broken"],
)
def test_bad_configurations_are_told_in_words(tmp_path: Path, text: str | None, words: str) -> None:
    """Exit code 2, the file's name and what is wrong with it; no traceback."""
    path = tmp_path / "pod.yaml"
    if text is not None:
        path.write_text(text)
    result = CliRunner().invoke(app, ["serve", "--config", str(path)])
    assert result.exit_code == 2
    assert words in result.output
    assert str(path) in result.output.replace("\n", "")


async def test_an_unknown_bundle_is_refused(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pod does not start, and the message says which bundles there are."""
    monkeypatch.setenv("OSTIARY_POD_BUNDLE", "nowhere")
    with pytest.raises(ValueError, match="nowhere: no such bundle"):
        async with asyncio.timeout(30), pod(load_pod_settings(config)):
            pass


async def test_the_bundle_that_is_named_is_served(
    config: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the keeper names is what the pod measures: it serves, and tells the same digest."""
    named = Bundle.load(tiny).digest
    monkeypatch.setenv("OSTIARY_POD_BUNDLE", str(tiny))
    monkeypatch.setenv("OSTIARY_BUNDLE_DIGEST", f"sha256:{named.hex()}")
    async with pod(load_pod_settings(config)) as server, gateway(config, server.address) as channel:
        status = await InferenceServiceStub(channel).Status(StatusRequest())
    assert status.bundle.digest == named


def one_word(bundle: Path) -> None:
    """Of a prompt, the weights as they were."""
    path = bundle / "bundle.yaml"
    path.write_text(path.read_text().replace("Is there a QR code?", "Is a QR code there?"))


def one_file_more(bundle: Path) -> None:
    """Beside the others."""
    (bundle / "notes.txt").write_text("tried on Monday")


@pytest.mark.parametrize("change", [one_word, one_file_more], ids=lambda one: one.__name__)
def test_another_bundle_is_never_served(
    config: Path, tiny: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """Whole as it may be: the process ends with 2 before it is ready, and says both digests."""
    named, changed = Bundle.load(tiny).digest, tmp_path / "changed"
    shutil.copytree(tiny, changed)
    change(changed)
    done = subprocess.run(
        [sys.executable, "-m", "ostiary.cli", "pod", "serve", "--config", str(config)],
        env={
            **os.environ,
            "OSTIARY_POD_BUNDLE": str(changed),
            "OSTIARY_BUNDLE_DIGEST": f"sha256:{named.hex()}",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 2, told
    assert f"digest is sha256:{Bundle.load(changed).digest.hex()}" in told
    assert f"sha256:{named.hex()} is to be served" in told
    assert "ready" not in told.replace("already", "")


def test_help_shows_examples() -> None:
    """The command explains itself."""
    result = CliRunner().invoke(app, ["--help"])
    assert "Examples" in result.output
    assert "ostiary pod serve --config" in result.output
