"""Real images through a real stack: client, gateway, pod with the embedded bundle, record."""

import hashlib
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from e2e.local_stack import LocalStack
from ostiary import Client, OstiaryError, Reason, Verdict
from ostiary.cli.demo_run import Demo
from ostiary.cli.stack.layout import Layout
from ostiary.demo import DemoImage, demo_images

IMAGES = demo_images()
EXIT_CODES = {"ALLOW": 0, "REVIEW": 3, "HOLD": 4, "BLOCK": 5}
ATTRIBUTES = {"category", "colour", "pattern", "style", "material", "audience", "scene", "styling"}


@pytest.fixture(scope="module")
def answers(started: LocalStack) -> dict[str, dict[str, Any]]:
    """The answers to all images of the demo, by file name."""
    _, lines = started.check(*(started.image(image.file) for image in IMAGES))
    assert [Path(line["file"]).name for line in lines] == [image.file for image in IMAGES]
    return {Path(line["file"]).name: line["response"] for line in lines}


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.file)
def test_verdict(answers: dict[str, dict[str, Any]], image: DemoImage) -> None:
    """Each image gets the verdict that is expected of a sound stack."""
    assert answers[image.file]["verdict"].removeprefix("VERDICT_") in image.expected


@pytest.mark.parametrize(
    ("file", "label", "source", "evidence"),
    [
        ("contact-zh.jpg", "contact_details", "ocr", "13800138000"),
        ("contact-en.jpg", "contact_details", "ocr", "900123"),
        ("qr-code.jpg", "qr_code", "barcode", "https://shop.example/join?from=photo"),
    ],
    ids=["Chinese", "English", "QR code"],
)
def test_evidence(
    answers: dict[str, dict[str, Any]], file: str, label: str, source: str, evidence: str
) -> None:
    """A BLOCK shows what was read and where; the place lies within the canonical image."""
    response = answers[file]
    found = [
        finding
        for finding in response["findings"]
        if (finding["label"], finding["source"], finding["action"]) == (label, source, "ACTION_BLOCK")
        and evidence in str(finding["evidence"])
    ]
    assert found, response["findings"]
    canonical = response["images"][0]
    box = found[0]["regions"][0]["box"]
    assert box["x"] + box["width"] <= canonical["width"]
    assert box["y"] + box["height"] <= canonical["height"]


@pytest.mark.parametrize("file", [image.file for image in IMAGES if image.expected != ("HOLD",)])
def test_description_and_attributes(answers: dict[str, dict[str, Any]], file: str) -> None:
    """Beside the flags every readable image is described, with all eight attributes."""
    response = answers[file]
    assert response["description"]["text"].strip()
    assert {attribute["name"] for attribute in response["attributes"]} == ATTRIBUTES


@pytest.mark.parametrize(
    ("file", "codes"),
    [("truncated.jpg", {"unreadable"}), ("bomb.png", {"too_large"})],
)
def test_hold_says_why(answers: dict[str, dict[str, Any]], file: str, codes: set[str]) -> None:
    """An image that cannot be judged is on HOLD, with the reason."""
    assert {reason["code"] for reason in answers[file]["holdReasons"]} == codes


def test_receipts(answers: dict[str, dict[str, Any]]) -> None:
    """Each answer names what looked and by which policy, and has its own entry in the log."""
    receipts = [answer["receipt"] for answer in answers.values()]
    assert len({receipt["logIndex"] for receipt in receipts}) == len(IMAGES)
    assert {receipt["bundle"]["name"] for receipt in receipts} == {"mini"}
    assert all(receipt["policy"] == "default@1" and receipt["policySha256"] for receipt in receipts)
    assert all(receipt["checkpoint"].startswith("ostiary.local/log\n") for receipt in receipts)


@pytest.mark.parametrize(
    ("file", "codes"),
    [("coffee.jpg", {0, 3}), ("truncated.jpg", {4}), ("qr-code.jpg", {5})],
    ids=["clean", "HOLD", "BLOCK"],
)
def test_exit_codes(stack: LocalStack, file: str, codes: set[int]) -> None:
    """The exit code tells the verdict."""
    code, lines = stack.check("--want", "flags", stack.image(file))
    assert code in codes
    assert EXIT_CODES[lines[0]["response"]["verdict"].removeprefix("VERDICT_")] == code


def test_the_text_of_a_listing_is_judged(stack: LocalStack) -> None:
    """A clean image with a telephone number in its title is blocked as well."""
    title = "Cup, call WhatsApp +44 7700 900123"
    code, lines = stack.check("--want", "flags", "--title", title, stack.image("coffee.jpg"))
    assert code == 5
    rules = [finding["evidence"]["rule"] for finding in lines[0]["response"]["findings"]]
    assert {rule["field"] for rule in rules if rule["rule"].startswith("contact.")} == {"title"}


def test_canonical_image(stack: LocalStack) -> None:
    """The bytes to publish are the ones that were judged: an image, and not the bytes that were sent."""
    sent = stack.image("bag-grey-alpha.png").read_bytes()
    with Client.from_profile(stack.root / "pipeline") as client:
        result = client.check(sent, wants=["flags"], timeout=60)
        data = client.canonical_image(result)
    assert hashlib.sha256(data).digest() == result.images[0].sha256
    assert result.images[0].raw_sha256 == hashlib.sha256(sent).digest() != result.images[0].sha256
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (result.images[0].width, result.images[0].height)
        assert image.mode == "RGB"


def test_large_image(stack: LocalStack) -> None:
    """An image above 4 MiB goes by stream and is judged like any other."""
    noise = np.random.default_rng(7).integers(0, 256, (1250, 1250, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    assert len(file.getvalue()) > 4 * 1024 * 1024
    with Client.from_profile(stack.root / "pipeline") as client:
        result = client.check(file.getvalue(), wants=["flags"], timeout=90)
    assert result.verdict in (Verdict.ALLOW, Verdict.REVIEW)
    assert result.images[0].raw_sha256 == hashlib.sha256(file.getvalue()).digest()


def test_same_key_same_verdict(stack: LocalStack) -> None:
    """A repeated key returns the recorded answer; with another request it is refused."""
    image = stack.image("cat.jpg")
    with Client.from_profile(stack.root / "pipeline") as client:
        first = client.check(image, idempotency_key="e2e-key", timeout=60)
        again = client.check(image, idempotency_key="e2e-key", timeout=60)
        with pytest.raises(OstiaryError) as caught:
            client.check(stack.image("shirt.png"), idempotency_key="e2e-key", timeout=60)
    assert (first.replayed, again.replayed, again.check_id) == (False, True, first.check_id)
    assert caught.value.reason is Reason.ALREADY_EXISTS


def test_verify_and_tamper(stack: LocalStack, answers: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """The record verifies; one flipped bit in a copy of the published log does not."""
    assert answers
    done = stack.run("audit", "verify", stack.root)
    assert done.code == 0, done.err
    copy = tmp_path / "log"
    shutil.copytree(stack.root / "gateway/log", copy)
    key = stack.root / "gateway/log.vkey"
    assert stack.run("audit", "verify", copy, "--vkey", key).code == 0
    entries = next(path for path in sorted(copy.rglob("*")) if path.is_file() and "entries" in path.parts)
    data = bytearray(entries.read_bytes())
    data[len(data) // 2] ^= 1
    entries.chmod(0o600)
    entries.write_bytes(data)
    tampered = stack.run("audit", "verify", copy, "--vkey", key)
    assert tampered.code == 1, tampered.out


def test_demo(stack: LocalStack) -> None:
    """What the demo does with its own stack goes well with this one: nothing is to be told."""
    some = [image for image in IMAGES if image.file in {"shirt.png", "qr-code.jpg", "bomb.png"}]
    assert len(some) == 3
    assert Demo(Layout(stack.root), stack.root, some).run() == []
