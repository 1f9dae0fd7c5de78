"""Examples for `ostiary model calibrate --answers`, out of what reviewers settled."""

import asyncio
import csv
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from ostiary.v1.audit_pb2 import RULING_OVERTURN
from ostiary.v1.record_pb2 import DecisionRecord, EventRecord
from ostiary_gateway.durable import replace_file
from ostiary_gateway.evidence import EvidenceStore, canonical_name

ANSWERS = "answers.csv"
LOCK = ".answers.lock"
COLUMNS = ("file", "question", "label")
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png"}


@dataclass(frozen=True)
class Example:
    """What a settled case teaches about one of its images: the question, and whether yes was right."""

    image_index: int
    question: str
    label: str


class ExampleFolder:
    """A folder of pictures with `answers.csv`; the pictures lie in it as they are, not encrypted."""

    def __init__(self, folder: Path, evidence: EvidenceStore) -> None:
        """`evidence` has the pictures."""
        self._folder = folder
        self._evidence = evidence

    async def add(self, record: DecisionRecord, event: EventRecord) -> None:
        """Add what a ruling that settled a case teaches.

        Raises OSError where it cannot be written, and what the evidence raises.
        """
        files: dict[int, str] = {}
        rows = []
        for example in examples(record, event):
            index = example.image_index
            if index not in files:
                files[index] = await self._picture(record, index)
            if files[index]:
                rows.append((files[index], example.question, example.label))
        if rows:
            await asyncio.to_thread(_append, self._folder, rows)

    async def remove(self, check_id: str) -> None:
        """Take out a check's pictures, and the answers about them. Raises OSError."""
        await asyncio.to_thread(self._remove, check_id)

    def _remove(self, check_id: str) -> None:
        pictures = [path for path in self._folder.glob("*") if _is_of(path.name, check_id)]
        answers = self._folder / ANSWERS
        if answers.exists():
            with _alone(self._folder):
                lines = answers.read_text(encoding="utf-8").splitlines(keepends=True)
                kept = [line for line in lines if not _is_of(line, check_id)]
                if kept != lines:
                    replace_file(answers, "".join(kept).encode())
        for path in pictures:
            path.unlink(missing_ok=True)

    async def _picture(self, record: DecisionRecord, image_index: int) -> str:
        """The name of the picture's file; empty where the evidence is gone."""
        data = await self._evidence.get(record.tenant, record.check_id, canonical_name(image_index))
        if data is None:
            return ""
        media = {image.image_index: image.media_type for image in record.observations.images}
        name = f"{record.check_id}-{image_index}{_SUFFIXES.get(media.get(image_index, ''), '.png')}"
        await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        await asyncio.to_thread(replace_file, self._folder / name, data)
        return name


def examples(record: DecisionRecord, event: EventRecord) -> Iterator[Example]:
    """One for each of the model's questions that flagged an image of the case."""
    label = "no" if event.ruling.ruling == RULING_OVERTURN else "yes"
    seen = set()
    for found in record.response.findings:
        score = found.evidence.score
        example = Example(score.image_index, score.question, label)
        if found.source == "vlm" and score.question and example not in seen:
            seen.add(example)
            yield example


def _is_of(name: str, check_id: str) -> bool:
    """Whether a picture's name, or a line that begins with one, is of a check."""
    return name.startswith(f"{check_id}-")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Several gateways may add to the answers; one at a time."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _append(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    with _alone(folder):
        descriptor = os.open(folder / ANSWERS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            text = StringIO()
            writer = csv.writer(text, lineterminator="\n")
            if os.fstat(descriptor).st_size == 0:
                writer.writerow(COLUMNS)
            writer.writerows(rows)
            os.write(descriptor, text.getvalue().encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
