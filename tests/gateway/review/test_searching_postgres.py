"""Searching, showing, proving and exporting over a gateway whose record is in PostgreSQL."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.review.conftest import DIGEST, check_id
from gateway.review.test_service_audit import found, hour
from ostiary.tlog.checkpoint import open_checkpoint
from ostiary.tlog.keys import load_verifier_key
from ostiary.v1.audit_pb2 import (
    CASE_STATE_OPEN,
    EXPORT_FORMAT_CSV,
    ExportCasesRequest,
    GetCaseRequest,
    GetCheckpointRequest,
    SearchCasesRequest,
)
from ostiary.v1.decision_pb2 import VERDICT_BLOCK, VERDICT_HOLD, VERDICT_REVIEW
from postgres import Postgres

As = Callable[[str], Any]


@pytest.fixture
def store(postgres: Postgres) -> str:
    """A database of its own."""
    return postgres.database()


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({}, [4, 3, 2, 1, 0]),
        ({"verdicts": [VERDICT_BLOCK, VERDICT_HOLD]}, [3, 2]),
        ({"labels": ["nudity/explicit", "logo_infringement/unauthorised_brand"]}, [4, 2]),
        ({"sellers": ["anna"], "brands": ["acme"]}, [4]),
        ({"bundle_digests": [DIGEST]}, [1]),
        ({"policies": ["strict@2"]}, [3]),
        ({"since": hour(2), "until": hour(4)}, [3, 2]),
        ({"min_score": 0.9}, [2, 1]),
        ({"states": [CASE_STATE_OPEN]}, [4, 3, 1]),
        ({"text": "abc123 微信"}, [4]),
        ({"text": "shoes 100%_"}, [3]),
        ({"text": "10_%"}, []),
        ({"text": "cup", "verdicts": [VERDICT_REVIEW]}, [4, 1]),
    ],
    ids=str,
)
async def test_search(as_: As, asked: dict[str, Any], numbers: list[int]) -> None:
    """Each condition finds what it finds in SQLite."""
    assert await found(as_, **asked) == numbers


async def test_pages_cases_exports_and_proofs(as_: As, filled: Any) -> None:
    """All that a gateway answers of its record."""
    page = await as_("auditor").SearchCases(SearchCasesRequest(page_size=2), timeout=20)
    behind = SearchCasesRequest(page_size=2, page_token=page.next_page_token)
    second = await as_("auditor").SearchCases(behind, timeout=20)
    assert [case.check_id for case in second.cases] == [check_id(2), check_id(1)]
    case = await as_("auditor").GetCase(GetCaseRequest(check_id=check_id(2)), timeout=20)
    assert case.response.receipt.log_index == 2
    answer = await as_("auditor").GetCheckpoint(GetCheckpointRequest(), timeout=20)
    assert open_checkpoint(answer.checkpoint, load_verifier_key(filled.folder / "log.vkey")).size == 6
    call = as_("admin").ExportCases(ExportCasesRequest(format=EXPORT_FORMAT_CSV), timeout=20)
    text = b"".join([part.data async for part in call]).decode()
    assert text.count("\r\n") == 6
