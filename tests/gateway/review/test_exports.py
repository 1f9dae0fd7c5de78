"""ExportCases and `ostiary audit export`: every format, whole files, and nothing that executes."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToJson, ParseDict
from pyarrow import parquet
from typer.testing import CliRunner, Result

from gateway.review.conftest import DECISIONS, check_id, decision, record
from gateway.site import Running, Site, profile_of
from ostiary.cli.audit import app
from ostiary.cli.audit.labelled import Labelled
from ostiary.v1.audit_pb2 import (
    CASE_STATE_DECIDED,
    EXPORT_FORMAT_CSV,
    EXPORT_FORMAT_JSON_LINES,
    CaseEvent,
    CaseSummary,
    ExportCasesRequest,
    GetCaseResponse,
    SearchCasesRequest,
)
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.decision_pb2 import (
    ACTION_BLOCK,
    ACTION_REVIEW,
    VERDICT_ALLOW,
    VERDICT_BLOCK,
    Evidence,
    Finding,
    RuleEvidence,
    Verdict,
)
from ostiary.v1.moderation_pb2 import CheckResponse
from ostiary.v1.observation_pb2 import PolicyScore
from ostiary.v1.record_pb2 import DecisionRecord
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error
from ostiary_gateway.exports.csv_lines import CsvEncoder
from ostiary_gateway.exports.statements import EEA, statement
from ostiary_gateway.review.cases import Case
from ostiary_gateway.review.standing import first_standing
from ostiary_gateway.store.rows import prepare

Export = Callable[..., Any]
STATUTE = Finding(
    policy="prohibited_ads",
    label="medical_claim",
    action=ACTION_BLOCK,
    score=1.0,
    source="text",
    evidence=Evidence(
        rule=RuleEvidence(rule="health.cure", article="Directive 2005/29/EC, Annex I", jurisdiction="EU")
    ),
    internal_reason="rule health.cure matched 'cures all'",
    seller_reason="Remove statements about effects on health.",
)


@pytest.fixture
def export(filled: Site, desk: Running, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Runs `ostiary audit export` as the compliance administrator."""
    monkeypatch.setattr("ostiary.cli.audit.desk.configure_logs", lambda service, style: None)
    profile = profile_of(filled, desk)

    async def run(*arguments: object) -> Result:
        line = ["export", "--profile", str(profile), *map(str, arguments)]
        return await asyncio.to_thread(CliRunner().invoke, app, line)

    return run


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a file of comma-separated values."""
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def case(number: int = 0, **more: Any) -> Case:
    """A case that nobody has touched."""
    territory = more.pop("territory", "DE")
    new = decision(number, **more)
    new.listing.territory = territory
    answer = CheckResponse()
    answer.CopyFrom(new.response)
    record = prepare(new, new.response.receipt.decided_at.ToDatetime().astimezone())
    stored = DecisionRecord.FromString(record.sealed.record)
    return Case(stored, answer, [], first_standing(answer.verdict, number))


async def test_csv(export: Export, tmp_path: Path) -> None:
    """A header and a line per case of the caller's tenant, the newest first."""
    told = await export("--format", "csv", "--out", tmp_path / "cases.csv")
    assert told.exit_code == 0, told.stderr
    rows = table(tmp_path / "cases.csv")
    assert [row["check_id"] for row in rows] == [check_id(number) for number in (4, 3, 2, 1, 0)]
    blocked = rows[2]
    assert (blocked["verdict"], blocked["seller"], blocked["score"], blocked["log_index"]) == (
        "BLOCK",
        "bert",
        "1.0",
        "2",
    )
    assert blocked["decided_at"] == "2026-11-01T14:00:00.000000+00:00"
    assert files(tmp_path) == ["cases.csv"]


async def test_json_lines(export: Export, tmp_path: Path) -> None:
    """Each line is what GetCase answers: all that a replay needs."""
    out = tmp_path / "cases.jsonl"
    assert (await export("--format", "jsonl", "--seller", "anna", "--out", out)).exit_code == 0
    cases = [ParseDict(json.loads(line), GetCaseResponse()) for line in out.read_text("utf-8").splitlines()]
    assert [each.summary.check_id for each in cases] == [check_id(4), check_id(1)]
    assert cases[0].observations.ocr[0].text == "微信 Abc123"
    assert cases[0].response.receipt.checkpoint.startswith("ostiary.local/log\n")
    assert cases[0].events[0].kind == "decided"


async def test_parquet(export: Export, tmp_path: Path) -> None:
    """The same columns, typed."""
    out = tmp_path / "cases.parquet"
    assert (await export("--format", "parquet", "--out", out)).exit_code == 0
    table = parquet.read_table(out)
    assert table.column("check_id").to_pylist() == [check_id(number) for number in (4, 3, 2, 1, 0)]
    assert str(table.schema.field("decided_at").type) == "timestamp[us, tz=UTC]"
    assert table.column("score").to_pylist()[2] == 1.0


async def test_statements(export: Export, tmp_path: Path) -> None:
    """One for the case that is blocked, and for no other."""
    out = tmp_path / "reasons.jsonl"
    assert (await export("--format", "dsa", "--out", out)).exit_code == 0
    (found,) = map(json.loads, out.read_text("utf-8").splitlines())
    assert (found["puid"], found["category"]) == (
        check_id(2),
        "STATEMENT_CATEGORY_INTELLECTUAL_PROPERTY_INFRINGEMENTS",
    )


async def test_pieces_are_small(filled: Site, desk: Running) -> None:
    """No message holds more than a mebibyte, and together they are the file."""
    long = [decision(number, title=f"Cup {number} " + "long " * 8000) for number in range(10, 70)]
    await record(filled, *long)
    stub: Any = AuditServiceStub(desk.channel("admin"))
    call = stub.ExportCases(ExportCasesRequest(format=EXPORT_FORMAT_CSV), timeout=60)
    pieces = [len(part.data) async for part in call]
    assert len(pieces) > 1
    assert all(size == 1024 * 1024 for size in pieces[:-1])


@pytest.mark.parametrize(
    ("who", "request_", "reason"),
    [
        ("auditor", ExportCasesRequest(format=EXPORT_FORMAT_CSV), Reason.PERMISSION_DENIED),
        ("admin", ExportCasesRequest(), Reason.INVALID_FIELD),
        (
            "admin",
            ExportCasesRequest(format=EXPORT_FORMAT_JSON_LINES, search=SearchCasesRequest(min_score=2)),
            Reason.INVALID_FIELD,
        ),
    ],
    ids=["not for this role", "no format", "a bad search"],
)
async def test_what_is_refused(desk: Running, who: str, request_: ExportCasesRequest, reason: Reason) -> None:
    """A role, a format and the conditions are checked before anything is sent."""

    stub: Any = AuditServiceStub(desk.channel(who))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [part async for part in stub.ExportCases(request_, timeout=20)]
    assert from_rpc_error(caught.value).reason == reason


async def test_a_file_is_whole_or_not_there(export: Export, tmp_path: Path, desk: Running) -> None:
    """What cannot be written leaves nothing; what is there is not written over unasked."""
    out = tmp_path / "cases.csv"
    out.write_text("mine")
    assert (await export("--format", "csv", "--out", out)).exit_code == 2
    assert out.read_text() == "mine"
    assert (await export("--format", "csv", "--out", out, "--force")).exit_code == 0
    assert out.read_text() != "mine"
    missing = tmp_path / "no" / "such" / "folder.csv"
    assert (await export("--format", "csv", "--out", missing)).exit_code == 1
    out.unlink()
    assert (await export("--format", "csv", "--min-score", "1", "--label", "x", "--out", out)).exit_code == 1
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "title",
    ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1+1", "＝1+1", "\n=1"],
    ids=repr,
)
def test_a_spreadsheet_executes_nothing(title: str) -> None:
    """A cell that would be a formula is a text; one that would not stays as it is."""
    lines = CsvEncoder().head() + CsvEncoder().cases([case(title=title)], 0)
    (row,) = csv.DictReader(io.StringIO(lines.decode(), newline=""))
    assert row["title"] == f"'{title}"
    (row,) = csv.DictReader(
        io.StringIO(
            (CsvEncoder().head() + CsvEncoder().cases([case(title='a=1, "b"')], 0)).decode(), newline=""
        )
    )
    assert row["title"] == 'a=1, "b"'


def test_a_statement_of_reasons() -> None:
    """Law where a rule names it, in the words for sellers; never a rule's own words, nor who sells what."""
    found = statement(case(verdict=VERDICT_BLOCK, findings=[STATUTE], seller="anna", title="Cures all"))
    assert found is not None
    assert found["decision_visibility"] == ["DECISION_VISIBILITY_CONTENT_DISABLED"]
    assert found["decision_ground"] == "DECISION_GROUND_ILLEGAL_CONTENT"
    assert found["illegal_content_legal_ground"] == "Directive 2005/29/EC, Annex I"
    assert found["illegal_content_explanation"] == STATUTE.seller_reason
    assert found["category"] == "STATEMENT_CATEGORY_CONSUMER_INFORMATION"
    assert found["content_type"] == ["CONTENT_TYPE_PRODUCT", "CONTENT_TYPE_TEXT"]
    assert (found["automated_detection"], found["automated_decision"]) == ("Yes", "AUTOMATED_DECISION_FULLY")
    assert (found["content_date"], found["territorial_scope"]) == ("2026-11-01", ["DE"])
    text = json.dumps(found)
    assert all(secret not in text for secret in ("cures all", "Cures all", "anna", "health.cure"))


@pytest.mark.parametrize(
    ("verdict", "territory", "scope"),
    [
        (VERDICT_BLOCK, "", list(EEA)),
        (VERDICT_BLOCK, "EU", [each for each in EEA if each not in ("IS", "LI", "NO")]),
        (VERDICT_BLOCK, "FR", ["FR"]),
        (VERDICT_BLOCK, "CN", None),
        (VERDICT_ALLOW, "DE", None),
    ],
    ids=["nowhere named", "the Union", "one state", "outside", "allowed"],
)
def test_when_a_statement_is_called_for(
    verdict: Verdict.ValueType, territory: str, scope: list[str] | None
) -> None:
    """A block in the European Economic Area calls for one, and nothing else does."""
    found = statement(case(verdict=verdict, findings=[STATUTE], territory=territory))
    assert (found["territorial_scope"] if found else None) == scope


class Evidences:
    """Pictures as a gateway hands them out; of the second check there is none."""

    async def evidence(self, check: str, index: int, reason: str) -> tuple[str, bytes]:
        if check == check_id(2):
            raise OstiaryError(Reason.NOT_FOUND, "erased")
        return "image/png", f"{check}/{index}".encode()


def ruled(number: int, verdict: Verdict.ValueType, *, kind: str = "ruled") -> bytes:
    """A line of an export: a case that a person has settled."""
    score = PolicyScore(policy="nudity", label="explicit", question="nudity.explicit", image_index=1)
    answer = CheckResponse(findings=[Finding(action=ACTION_REVIEW, evidence=Evidence(score=score))])
    message = GetCaseResponse(
        summary=CaseSummary(check_id=check_id(number), verdict=verdict, state=CASE_STATE_DECIDED),
        response=answer,
        events=[CaseEvent(kind="decided"), CaseEvent(kind=kind)],
    )
    return MessageToJson(message, indent=None).encode() + b"\n"


async def test_a_labelled_folder(tmp_path: Path) -> None:
    """A row for each question that a ruling answers, with its picture; what has none is told apart."""
    text = b"".join(
        [
            ruled(1, VERDICT_BLOCK),
            ruled(2, VERDICT_BLOCK),
            ruled(3, VERDICT_ALLOW),
            ruled(4, VERDICT_BLOCK, kind="viewed"),
        ]
    )

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(text), 7):
            yield text[start : start + 7]

    evidences: Any = Evidences()
    labelled = Labelled(tmp_path / "out", evidences)
    await labelled.write(parts(), lambda done: None)
    rows = table(tmp_path / "out/answers.csv")
    assert [(row["question"], row["label"], row["check_id"]) for row in rows] == [
        ("nudity.explicit", "yes", check_id(1)),
        ("nudity.explicit", "no", check_id(3)),
    ]
    assert (tmp_path / "out" / rows[0]["file"]).read_bytes() == f"{check_id(1)}/1".encode()
    (without,) = table(tmp_path / "out/without-image.csv")
    assert (without["check_id"], without["why"]) == (check_id(2), "NOT_FOUND")
    assert labelled.told() == "2 answers with a picture, 1 without"


async def test_a_folder_from_a_gateway(export: Export, tmp_path: Path) -> None:
    """It appears whole, also where nobody has ruled on anything; one that is there is left alone."""
    out = tmp_path / "labelled"
    assert (await export("--format", "folder", "--out", out)).exit_code == 0
    assert (out / "answers.csv").read_text() == "file,question,label,check_id\n"
    assert (await export("--format", "folder", "--out", out)).exit_code == 2
    assert len(DECISIONS) == 6
