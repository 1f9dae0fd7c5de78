"""How much memory a pod takes, and whether it takes more the longer it serves.

`python -m bench.pod_memory [--checks 10000]` starts a pod on a bundle, sends it checks of many kinds, and
writes `bench/results/memory.json`. Every check differs in size of image, words, language and what it wants,
so that whatever is kept by any of them shows as growth.
"""

import argparse
import asyncio
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil
import yaml
from PIL import Image

from bench.report import Bar, Report, installed, show, write
from ostiary.demo import demo_images
from ostiary.pki import create_ca
from ostiary.v1.image_pb2 import Image as SentImage
from ostiary.v1.inference_pb2 import InferRequest
from ostiary.v1.inference_pb2_grpc import InferenceServiceStub
from ostiary.v1.listing_pb2 import Listing, Wants
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary.wire.channel import open_channel
from ostiary.wire.credentials import CredentialFiles, CredentialSource
from ostiary.wire.identity import SpiffeId

if TYPE_CHECKING:
    from ostiary.v1.inference_pb2_grpc import InferenceServiceAsyncStub

NAME = "memory"
MOST_BYTES = 1.2e9
# What the allocator may keep more at the end than at the beginning: less than a hundredth of what there is.
MOST_GROWTH = 8e6
_TRUST_DOMAIN = "bench.local"
_SERVER_NAME = "pod.bench.local"
_START = "from ostiary.cli.main import main; main()"
_LOTS = 50
_WATCH_SECONDS = 0.2
_SEED = 1
# Width and height of what is sent, small ones mostly: what is kept shows by the number of checks.
_SIZES = ((320, 320), (400, 533), (533, 400), (480, 640), (600, 450), (800, 800), (1200, 900), (2400, 1800))
_WEIGHTS = (4, 8, 4, 4, 4, 2, 1, 0.2)


class PodUnderTest:
    """A pod process and its decoders, watched from outside."""

    def __init__(self, process: psutil.Popen, address: str, folder: Path) -> None:
        self._process = process
        self._folder = folder
        self.address = address

    def memory(self) -> tuple[int, int]:
        """Resident bytes of the pod, and those that its decoders have for themselves.

        What they share counts once, as the pod's: a decoder that was forked a moment ago maps all that the
        pod has, and would seem to take as much again.
        """
        decoders = 0
        for child in self._process.children():
            with suppress(psutil.NoSuchProcess):  # its turn is over: another takes its place
                decoders += child.memory_full_info().uss
        return int(self._process.memory_info().rss), decoders

    def forget_peak(self) -> None:
        """Have the kernel's high-water mark begin anew."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5", encoding="utf-8")

    def peak(self) -> int:
        """The most resident bytes that the pod itself has had since `forget_peak`, however briefly."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) << 10

    def credentials(self) -> CredentialSource:
        """What a gateway shows it."""
        folder = self._folder / "gateway"
        return CredentialSource(CredentialFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem"))


@contextmanager
def running_pod(bundle: str, folder: Path) -> Iterator[PodUnderTest]:
    """Start `ostiary pod serve` as anybody would, ready when this yields. Raises RuntimeError if it dies."""
    authority = create_ca(folder / "pki", _TRUST_DOMAIN)
    for role in ("pod", "gateway"):
        authority.issue(folder / role, SpiffeId(_TRUST_DOMAIN, f"/role/{role}"), dns=[_SERVER_NAME])
    settings = {
        "listen": "127.0.0.1:0",
        "health": None,
        "tls": {name: f"{name}.pem" for name in ("ca", "cert", "key")},
        "clients": [f"spiffe://{_TRUST_DOMAIN}/role/gateway"],
        "bundle": bundle,
    }
    config, log = folder / "pod/pod.yaml", folder / "pod.log"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-c", _START, "pod", "serve", "--config", str(config)]
    with log.open("wb") as output, psutil.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            yield PodUnderTest(process, _address(process, log), folder)
        finally:
            process.terminate()


def _address(process: psutil.Popen, log: Path) -> str:
    """Wait for the line that says where the pod serves."""
    while process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{") and (event := json.loads(line))["event"] == "ready":
                return str(event["address"])
        time.sleep(0.2)
    raise RuntimeError(f"the pod did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")


def requests(seed: int) -> Iterator[InferRequest]:
    """Checks without end, no two alike: one to three images, half of them with everything wanted."""
    chance = random.Random(seed)
    pictures = [image.read() for image in demo_images()]
    for number in itertools.count():
        files = [_resized(chance.choice(pictures), chance) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        listing = Listing(
            title=f"Item {number} {chance.getrandbits(64):x}",
            description=" ".join(f"word{chance.randrange(10**6)}" for _ in range(chance.randrange(30))),
            category=chance.choice(("", "shoes", "home", f"category {number}")),
            language=chance.choice(("en", "zh", "de")),
        )
        wants = Wants(flags=chance.random() < 0.5, description=True, attributes=chance.random() < 0.5)
        check = CheckRequest(images=[SentImage(data=data) for data in files], listing=listing, wants=wants)
        yield InferRequest(check_id=str(number), check_request=check.SerializeToString())


def _resized(picture: bytes, chance: random.Random) -> bytes:
    """A picture of the demo in another size; those that are no pictures as they are."""
    try:
        with Image.open(BytesIO(picture)) as opened:
            (size,) = chance.choices(_SIZES, _WEIGHTS)
            image = opened.convert("RGB").resize(size)
    except (OSError, Image.DecompressionBombWarning, Image.DecompressionBombError):
        return picture
    file = BytesIO()
    image.save(file, chance.choice(("JPEG", "PNG", "WEBP")), quality=chance.randint(70, 95))
    return file.getvalue()


async def serve_checks(pod: PodUnderTest, work: Iterator[InferRequest], count: int, clients: int) -> None:
    """Have `count` checks looked at, `clients` at a time."""
    numbers = iter(range(count))

    async def client(stub: "InferenceServiceAsyncStub") -> None:
        for _ in numbers:
            await stub.Infer(next(work), timeout=300)

    async with open_channel(
        pod.address, pod.credentials(), server_name=_SERVER_NAME, max_receive_bytes=256 << 20
    ) as channel:
        stub: InferenceServiceAsyncStub = InferenceServiceStub(channel)
        await asyncio.gather(*(client(stub) for _ in range(clients)))


async def watch(pod: PodUnderTest, seen: list[tuple[int, int]]) -> None:
    """Note the pod's and its decoders' memory until cancelled."""
    while True:
        seen.append(pod.memory())
        await asyncio.sleep(_WATCH_SECONDS)


async def lot(pod: PodUnderTest, work: Iterator[InferRequest], count: int, clients: int) -> dict[str, Any]:
    """Memory while `count` checks are looked at: least and most."""
    pod.forget_peak()
    seen: list[tuple[int, int]] = []
    watching = asyncio.create_task(watch(pod, seen))
    await serve_checks(pod, work, count, clients)
    watching.cancel()
    seen.append(pod.memory())
    ours, decoders = zip(*seen, strict=True)
    return {"least_mb": min(ours) / 1e6, "most_mb": pod.peak() / 1e6, "decoders_mb": max(decoders) / 1e6}


def measure(pod: PodUnderTest, checks: int, warm: int, clients: int) -> list[dict[str, Any]]:
    """Rows of memory over so many checks, the first row of the pod as it started."""
    work = requests(_SEED)
    rows = [{"checks": 0, **asyncio.run(lot(pod, work, 0, 1))}]
    for count in [warm, *[max(1, checks // _LOTS)] * min(_LOTS, checks)]:
        row = asyncio.run(lot(pod, work, count, clients))
        rows.append({"checks": rows[-1]["checks"] + count, **row})
        print(f"{rows[-1]['checks']:>6} checks  {row['least_mb']:.0f} to {row['most_mb']:.0f} MB", flush=True)
    return rows


def report(rows: Sequence[dict[str, Any]], settings: dict[str, Any]) -> Report:
    """What was measured, beside its bars; of the lots, the table keeps some ten, and the one with the most.

    Growth is by the least memory in each lot: what the pod cannot give back. What it takes above that comes
    and goes with the images in flight.
    """
    served = [row["least_mb"] for row in rows[2:]]
    tenth = max(1, len(served) // 10)
    growth = (median(served[-tenth:]) - median(served[:tenth])) * 1e6
    highest = max(rows, key=lambda row: row["most_mb"] + row["decoders_mb"])
    most = (highest["most_mb"] + highest["decoders_mb"]) * 1e6
    checks = rows[-1]["checks"] - rows[1]["checks"]
    return Report(
        name=NAME,
        rows=[row for row in rows if row in (*rows[:2], *rows[1 + tenth :: tenth], highest)],
        bars=[
            Bar("most resident bytes of pod and decoders", most, MOST_BYTES, "at most"),
            Bar(f"growth after warm-up, bytes over {checks:,} checks", growth, MOST_GROWTH, "at most"),
        ],
        settings=settings,
        versions=installed(
            ["ostiary", "torch", "transformers", "onnxruntime", "rapidocr", "grpcio", "pillow"]
        ),
    )


def main() -> int:
    """Run, print and write. Exit code 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--checks", type=int, default=10_000, help="checks after warm-up (10,000)")
    parser.add_argument("--warm", type=int, default=300, help="checks before that (300)")
    parser.add_argument("--clients", type=int, default=8, help="checks at a time (8)")
    parser.add_argument("--bundle", default="mini", help="a shipped bundle or a folder (mini)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_pod(options.bundle, Path(folder)) as pod:
        rows = measure(pod, options.checks, options.warm, options.clients)
        result = report(rows, vars(options))
    show(result)
    print(f"written to {write(result)}")
    return 0 if all(bar.met for bar in result.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
