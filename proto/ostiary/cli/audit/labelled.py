"""A labelled folder: what people ruled on, as `ostiary model calibrate --answers` reads it."""

import csv
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from ostiary.cli.audit.calls import AuditCalls
from ostiary.v1.audit_pb2 import CASE_STATE_DECIDED, GetCaseResponse
from ostiary.v1.decision_pb2 import ACTION_BLOCK, ACTION_REVIEW, VERDICT_ALLOW
from ostiary.v1.observation_pb2 import PolicyScore
from ostiary.wire.errors import OstiaryError, Reason

ANSWERS, WITHOUT = "answers.csv", "without-image.csv"
_REASON = "labelled folder for evaluation and calibration"
_ENDINGS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
# No picture: erased or never kept, not for this caller to see, or a gateway that shows none.
_NO_PICTURE = {Reason.NOT_FOUND, Reason.PERMISSION_DENIED, Reason.FAILED_PRECONDITION, Reason.UNIMPLEMENTED}


class Labelled:
    """Writes a folder of pictures, and a row for each question that a person's ruling answers.

    `answers.csv` names pictures that are there; `without-image.csv` what has a ruling and no picture.
    """

    def __init__(self, folder: Path, calls: AuditCalls) -> None:
        """`calls` fetch pictures; each view is recorded."""
        self._folder = folder
        self._calls = calls
        self._answers = 0
        self._without = 0

    async def write(self, parts: AsyncIterator[bytes], told: Callable[[int], None]) -> None:
        """Write the folder anew from an export's JSON lines; `told` is told of bytes read. Raises OSError."""
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / "images").mkdir(parents=True)
        self._answers = self._without = 0
        with ExitStack() as stack:
            answers = _table(stack, self._folder / ANSWERS, ("file", "question", "label", "check_id"))
            header = ("check_id", "image_index", "question", "label", "why")
            without = _table(stack, self._folder / WITHOUT, header)
            async for line in _lines(parts, told):
                case = json_format.ParseDict(json.loads(line), GetCaseResponse(), ignore_unknown_fields=True)
                await self._write_case(case, answers, without)

    def told(self) -> str:
        """What was written, in words."""
        return f"{self._answers:,} answers with a picture, {self._without:,} without"

    async def _write_case(self, case: GetCaseResponse, answers: Any, without: Any) -> None:
        label = "no" if case.summary.verdict == VERDICT_ALLOW else "yes"
        for index, scores in _ruled_on(case).items():
            file, why = await self._picture(case.summary.check_id, index)
            for score in scores:
                if file:
                    answers.writerow((file, score.question, label, case.summary.check_id))
                    self._answers += 1
                else:
                    without.writerow((case.summary.check_id, index, score.question, label, why))
                    self._without += 1

    async def _picture(self, check_id: str, index: int) -> tuple[str, str]:
        """The picture's file below the folder, or why there is none."""
        try:
            media_type, data = await self._calls.evidence(check_id, index, _REASON)
        except OstiaryError as error:
            if error.reason not in _NO_PICTURE:
                raise
            return "", error.reason.value
        file = f"images/{check_id}-{index}{_ENDINGS.get(media_type, '.png')}"
        (self._folder / file).write_bytes(data)
        return file, ""


def _ruled_on(case: GetCaseResponse) -> dict[int, list[PolicyScore]]:
    """The model's answers that asked for something, by image, where a person has settled the case."""
    found: dict[int, list[PolicyScore]] = {}
    settled = case.summary.state == CASE_STATE_DECIDED and any(each.kind == "ruled" for each in case.events)
    for finding in case.response.findings if settled else ():
        if finding.action in (ACTION_REVIEW, ACTION_BLOCK) and finding.evidence.HasField("score"):
            found.setdefault(finding.evidence.score.image_index, []).append(finding.evidence.score)
    return found


def _table(stack: ExitStack, path: Path, header: tuple[str, ...]) -> Any:
    writer = csv.writer(stack.enter_context(path.open("w", encoding="utf-8", newline="")))
    writer.writerow(header)
    return writer


async def _lines(parts: AsyncIterator[bytes], told: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The whole lines of pieces that end anywhere."""
    rest, done = b"", 0
    async for part in parts:
        done += len(part)
        told(done)
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            yield line
    if rest:
        yield rest
