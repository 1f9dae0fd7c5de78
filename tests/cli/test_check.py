"""`ostiary check` as people and programs see it, against a real server over mutual TLS."""

import asyncio
import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import ParseDict

from cli.command import Done, ostiary
from client.scripted_gateway import Script, verdict
from ostiary.cli.check_run import Outcome, exit_code
from ostiary.client import CheckResult, OstiaryError, Profile, Reason
from ostiary.v1.decision_pb2 import (
    VERDICT_ALLOW,
    VERDICT_BLOCK,
    VERDICT_HOLD,
    VERDICT_REVIEW,
    Evidence,
    Finding,
    HoldReason,
    PolicyResult,
    Receipt,
    Reuse,
    Verdict,
)
from ostiary.v1.image_pb2 import Box, Region
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import Barcode

ERROR = OstiaryError(Reason.PERMISSION_DENIED, "role auditor may not call Check")
ALLOW, REVIEW, HOLD, BLOCK = map(verdict, (VERDICT_ALLOW, VERDICT_REVIEW, VERDICT_HOLD, VERDICT_BLOCK))


@pytest.fixture
def pipeline(profile: Profile, tmp_path: Path) -> Path:
    folder = tmp_path / "pipeline"
    folder.mkdir()
    (folder / "profile.yaml").write_text(yaml.safe_dump(profile.model_dump(mode="json")))
    return folder


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{number}.jpg" for number in range(5)]
    for number, file in enumerate(made):
        file.write_bytes(b"image %d" % number)
    return made


def lines(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ([ALLOW, ALLOW], 0),
        ([ALLOW, REVIEW], 3),
        ([HOLD, REVIEW], 4),
        ([BLOCK, HOLD], 5),
        ([BLOCK, ERROR], 1),
        ([ERROR, ALLOW], 1),
    ],
    ids=["all ALLOW", "REVIEW", "HOLD", "BLOCK", "error beside BLOCK", "error beside ALLOW"],
)
def test_exit_codes(answers: list[CheckResponse | OstiaryError], code: int) -> None:
    """The gravest outcome of all files decides, in whatever order; an error is graver than any verdict."""
    outcomes = [
        Outcome(Path("x"), answer if isinstance(answer, OstiaryError) else CheckResult.from_proto(answer))
        for answer in answers
    ]
    assert exit_code(outcomes) == exit_code(reversed(outcomes)) == code


async def test_json(script: Script, pipeline: Path, files: list[Path]) -> None:
    """One object a line in the order of the files: the response in proto3's JSON mapping, or the error."""
    script.answers = [BLOCK, ERROR, ALLOW]
    done = await ostiary("check", "--profile", pipeline, "--json", "--concurrency", "1", *files[:3])
    first, second, third = lines(done)
    assert [first["file"], second["file"], third["file"]] == [str(file) for file in files[:3]]
    assert ParseDict(first["response"], CheckResponse()) == BLOCK
    assert second["error"] == {
        "reason": "PERMISSION_DENIED",
        "status": "PERMISSION_DENIED",
        "message": "role auditor may not call Check",
        "violations": [],
    }
    assert ParseDict(third["response"], CheckResponse()) == ALLOW
    assert (done.code, done.err) == (1, "")


async def test_json_is_complete(pipeline: Path, files: list[Path]) -> None:
    """Lists that are empty and numbers that are zero are printed too: programs need not ask for them."""
    done = await ostiary("check", "--profile", pipeline, "--json", files[0])
    response = lines(done)[0]["response"]
    assert (response["findings"], response["holdReasons"], response["replayed"]) == ([], [], False)
    assert response["images"][0]["imageIndex"] == 0


async def test_listing(script: Script, pipeline: Path, files: list[Path]) -> None:
    """Each option of the listing arrives in its field, and the bytes as they are in the file."""
    wanted = {name: f"my {name}" for name in ("title", "description", "category", "seller", "claimed_brand")}
    wanted |= {"territory": "DE", "language": "zh"}
    options = [word for name, value in wanted.items() for word in (f"--{name.replace('_', '-')}", value)]
    await ostiary("check", "--profile", pipeline, *options, files[0])
    request = script.requests[0]
    assert {name: getattr(request.listing, name) for name in wanted} == wanted
    assert request.images[0].data == b"image 0"


async def test_wants(script: Script, pipeline: Path, files: list[Path]) -> None:
    """--want narrows the answer; without it nothing is said, which means everything."""
    await ostiary("check", "--profile", pipeline, files[0])
    await ostiary("check", "--profile", pipeline, "--want", "flags", "--want", "attributes", files[0])
    everything, some = script.requests
    assert not everything.HasField("wants")
    assert (some.wants.flags, some.wants.description, some.wants.attributes) == (True, False, True)


async def test_profile_from_the_environment(pipeline: Path, files: list[Path]) -> None:
    """OSTIARY_PROFILE stands for --profile, and may name the file itself."""
    done = await ostiary("check", files[0], OSTIARY_PROFILE=str(pipeline / "profile.yaml"))
    assert done.code == 0, done.err


async def test_order_under_concurrency(pipeline: Path, files: list[Path]) -> None:
    """Whatever ends first, the lines keep the order of the command line."""
    done = await ostiary("check", "--profile", pipeline, "--json", "--concurrency", "5", *files)
    assert [line["file"] for line in lines(done)] == [str(file) for file in files]


async def test_unreadable_file(pipeline: Path, files: list[Path], tmp_path: Path) -> None:
    """A file that is not there is an error of its own; the others go on."""
    done = await ostiary("check", "--profile", pipeline, "--json", tmp_path / "gone.jpg", files[0])
    gone, there = lines(done)
    assert gone["error"]["reason"] == "INVALID_FIELD"
    assert "No such file" in gone["error"]["message"]
    assert "response" in there
    assert done.code == 1


@pytest.mark.parametrize(
    ("profile_of", "file_of", "words"),
    [
        ("pipeline", ".", "is a folder: name its images"),
        ("nowhere", "0.jpg", "cannot be read"),
    ],
    ids=["a folder as FILE", "no profile"],
)
async def test_usage(
    pipeline: Path, files: list[Path], tmp_path: Path, profile_of: str, file_of: str, words: str
) -> None:
    """What is wrong with the command line is said before anything is sent."""
    done = await ostiary("check", "--profile", tmp_path / profile_of, tmp_path / file_of)
    assert done.code == 2
    assert words in " ".join(done.err.replace("│", " ").split())


async def test_for_people(script: Script, pipeline: Path, files: list[Path]) -> None:
    """People see verdict, finding with place and evidence, what was not judged, whose look it was."""
    finding = Finding(
        policy="prohibited_ads",
        label="qr_code",
        score=1,
        action="ACTION_BLOCK",  # type: ignore[arg-type]
        regions=[Region(image_index=0, box=Box(x=3, y=4, width=50, height=60))],
        evidence=Evidence(barcode=Barcode(format="QRCode", text="https://shop.example/\x1b[31mred")),
    )
    answer = CheckResponse(
        check_id="0190-check",
        verdict=Verdict.VERDICT_BLOCK,
        findings=[finding],
        policies=[
            PolicyResult(policy="nudity", state="POLICY_STATE_CHEAP_TIER"),  # type: ignore[arg-type]
            PolicyResult(policy="weapons", state="POLICY_STATE_UNSUPPORTED"),  # type: ignore[arg-type]
        ],
        hold_reasons=[HoldReason(code="unreadable", detail="stops early")],
        receipt=Receipt(reused=Reuse(check_id="0190-first"), cheap_tier=True),
    )
    script.answers = [answer]
    done = await ostiary("check", "--profile", pipeline, files[0])
    for words in ("BLOCK", "prohibited_ads/qr_code", "3,4 50×60", "stops early", "check 0190-check"):
        assert words in done.out
    for words in ("for check 0190-first", "nudity: judged without the vision model", "weapons unsupported"):
        assert words in done.out
    assert "nudity cheap_tier" not in done.out
    assert done.code == 5
    assert "https://shop.example/\N{REPLACEMENT CHARACTER}[31mred" in done.out


async def test_errors_for_people(script: Script, pipeline: Path, files: list[Path]) -> None:
    """An error is one line on standard error."""
    script.answers = [ERROR]
    done = await ostiary("check", "--profile", pipeline, files[0])
    assert done.out == ""
    assert done.err.splitlines() == [f"{files[0]}  ERROR  PERMISSION_DENIED: {ERROR.message}"]


async def test_progress_on_a_terminal(pipeline: Path, files: list[Path]) -> None:
    """With many files and a terminal, standard error shows how far it has come; the output stays clean."""
    master, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ostiary.cli", "check", "--profile", pipeline, "--json", *files),
        stdout=asyncio.subprocess.PIPE,
        stderr=terminal,
    )
    out, _ = await process.communicate()
    os.close(terminal)
    shown = os.read(master, 100_000).decode(errors="replace")
    os.close(master)
    assert "5/5" in shown
    assert len([json.loads(line) for line in out.splitlines()]) == 5
