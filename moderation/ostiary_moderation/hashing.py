"""Hashes of image files as a pod makes them, so that lists know what checks will see."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ostiary_moderation.decode.pool import DecodePool
from ostiary_moderation.decode.result import Canonical, Fault
from ostiary_moderation.detectors.pdq import Pdq, pdq


@dataclass(frozen=True, slots=True)
class FileHashes:
    """The hashes of one file, or the fault that it has.

    `raw_sha256`: of the file, 32 bytes. `sha256`: of its canonical form, 32 bytes. `frames`: PDQ of each
    judged frame, in order; one for a still image. `fault`: in words; empty where there are hashes.
    """

    file: Path
    raw_sha256: bytes = b""
    sha256: bytes = b""
    frames: Sequence[Pdq] = ()
    fault: str = ""


async def hash_files(files: Iterable[Path]) -> AsyncIterator[FileHashes]:
    """Hash files in order, each decoded in a confined worker.

    Raises:
        NoDecoderError: no worker could be had.
        OSError: a file cannot be read.
    """
    async with DecodePool() as pool:
        for file in files:
            yield _hashes(file, await pool.decode(file.read_bytes()))


def _hashes(file: Path, outcome: Canonical | Fault) -> FileHashes:
    if isinstance(outcome, Fault):
        return FileHashes(file, fault=f"{outcome.code.value}: {outcome.detail}")
    frames = [
        pdq(np.frombuffer(frame.rgb, np.uint8).reshape(outcome.height, outcome.width, 3))
        for frame in outcome.frames
    ]
    return FileHashes(file, outcome.raw_sha256, outcome.sha256, frames)
