"""Has the pod's detectors look at the images of a part, in as many processes as there are cores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from bench.detectors import store
from bench.detectors.parts import Item, Part
from ostiary.v1.observation_pb2 import DetectorInfo, Observations
from ostiary_moderation.bundle.folder import Bundle
from ostiary_moderation.detector import (
    AnyDetector,
    DecodedImage,
    Detections,
    Detector,
    IncompleteError,
    load_detectors,
)

_SECONDS_BETWEEN_LINES = 20.0


def settings(bundle: str) -> dict[str, Mapping[str, Any]]:
    """Detector → the settings that a bundle has for it."""
    return {detector.name: detector.settings for detector in Bundle.load(bundle).manifest.detectors}


def detectors(names: Sequence[str], bundle: str) -> list[AnyDetector]:
    """Detectors as the bundle sets them up, with one thread each."""
    known = settings(bundle)
    return load_detectors([(name, known.get(name, {})) for name in names], threads=1)


def seen(looking: Sequence[Detector], item: Item) -> Observations:
    """What the detectors see in an image, and which of them got through."""
    image = DecodedImage(0, 0, item.pixels)
    found, infos = Detections(), []
    for detector in looking:
        error = ""
        try:
            found += detector.detect([image])
        except IncompleteError as incomplete:
            error = str(incomplete)
        infos.append(_info(detector, error))
    return Observations(ocr=found.ocr, barcodes=found.barcodes, detectors=infos)


class Looking:
    """Looks at parts, and keeps what was seen in `folder`."""

    def __init__(self, folder: Path, bundle: str, workers: int, tell: Callable[[str], None]) -> None:
        self._folder = folder
        self._bundle = bundle
        self._workers = workers
        self._tell = tell

    def at(self, part: Part, count: int) -> list[store.Record]:
        """Records of the first `count` images of a part, those already kept among them."""
        count = min(count, part.size)
        setup = self._setup(part)
        known = store.kept(self._folder, part.name, setup)
        missing = [number for number in range(count) if number not in known]
        self._tell(f"{part.name}: {count} images, {count - len(missing)} of them kept")
        if missing:
            self._look(part, missing, setup)
            known = store.kept(self._folder, part.name, setup)
        return [known[number] for number in range(count)]

    def _setup(self, part: Part) -> str:
        infos = [f"{one.name} {one.version}" for one in detectors(part.detectors, self._bundle)]
        chosen = {name: dict(settings(self._bundle).get(name, {})) for name in part.detectors}
        return f"{part.setup()} {infos} {chosen}"

    def _look(self, part: Part, missing: Sequence[int], setup: str) -> None:
        workers = min(self._workers, len(missing))
        paths = store.next_paths(self._folder, part.name, workers)
        started, before = time.monotonic(), len(store.kept(self._folder, part.name, setup))
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            running: set[Future[None]] = {
                pool.submit(_work, part, missing[first::workers], path, setup, self._bundle)
                for first, path in enumerate(paths)
            }
            while running:
                done, running = wait(running, timeout=_SECONDS_BETWEEN_LINES)
                for one in done:
                    one.result()
                looked = len(store.kept(self._folder, part.name, setup)) - before
                self._tell(progress(part.name, looked, len(missing), time.monotonic() - started))


def progress(name: str, done: int, of: int, seconds: float) -> str:
    """How far a part is, and about how long the rest takes."""
    left = f", about {seconds / done * (of - done) / 60:.0f} min left" if 0 < done < of else ""
    return f"  {name}: {done} of {of} in {seconds / 60:.1f} min{left}"


def _work(part: Part, numbers: Sequence[int], path: Path, setup: str, bundle: str) -> None:
    looking = [one for one in detectors(part.detectors, bundle) if isinstance(one, Detector)]
    with store.Shard(path, setup) as shard:
        for number in numbers:
            item = part.item(number)
            observed = json_format.MessageToDict(seen(looking, item))
            height, width = item.pixels.shape[:2]
            shard.add({"number": number, "facts": item.facts, "size": [width, height], "seen": observed})


def _info(detector: Detector, error: str) -> DetectorInfo:
    return DetectorInfo(
        name=detector.name,
        version=detector.version,
        completed=not error,
        error=error,
        policies=detector.policies,
    )
