"""AuditService over mutual TLS: cases are found, shown and proved, and each tenant's stay its own."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.review.conftest import DECISIONS, DIGEST, START, check_id, decision, record
from gateway.site import Running, Site
from ostiary.tlog.checkpoint import open_checkpoint
from ostiary.tlog.keys import load_verifier_key
from ostiary.tlog.merkle import leaf_hash, verify_consistency, verify_inclusion
from ostiary.v1.audit_pb2 import (
    CASE_STATE_DECIDED,
    CASE_STATE_OPEN,
    GetCaseRequest,
    GetCheckpointRequest,
    GetConsistencyProofRequest,
    GetInclusionProofRequest,
    SearchCasesRequest,
)
from ostiary.v1.audit_pb2_grpc import AuditServiceStub
from ostiary.v1.decision_pb2 import VERDICT_BLOCK, VERDICT_HOLD, VERDICT_REVIEW
from ostiary.wire.errors import OstiaryError, Reason, from_rpc_error

As = Callable[[str], Any]


async def refusal(call: Awaitable[object]) -> OstiaryError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)


def hour(number: int) -> Timestamp:
    time = Timestamp()
    time.FromSeconds(int(START.timestamp()) + 3600 * number)
    return time


async def found(as_: As, who: str = "auditor", **asked: Any) -> list[int]:
    """The numbers of the decisions that a search finds, in its order."""
    answer = await as_(who).SearchCases(SearchCasesRequest(**asked), timeout=20)
    return [int(case.check_id[-12:]) for case in answer.cases]


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({}, [4, 3, 2, 1, 0]),
        ({"verdicts": [VERDICT_REVIEW]}, [4, 1]),
        ({"verdicts": [VERDICT_BLOCK, VERDICT_HOLD]}, [3, 2]),
        ({"labels": ["prohibited_ads/contact_details"]}, [2, 1]),
        ({"labels": ["nudity/explicit", "logo_infringement/unauthorised_brand"]}, [4, 2]),
        ({"sellers": ["anna"]}, [4, 1]),
        ({"sellers": ["anna"], "brands": ["acme"]}, [4]),
        ({"brands": ["prohibited_ads/contact_details"]}, []),
        ({"bundle_digests": [DIGEST]}, [1]),
        ({"policies": ["strict@2"]}, [3]),
        ({"since": hour(2), "until": hour(4)}, [3, 2]),
        ({"min_score": 0.9}, [2, 1]),
        ({"states": [CASE_STATE_OPEN]}, [4, 3, 1]),
        ({"states": [CASE_STATE_DECIDED]}, [2, 0]),
        ({"text": "abc123 微信"}, [4]),
        ({"text": "X.EXAMPLE"}, [4]),
        ({"text": "shoes 100%_"}, [3]),
        ({"text": "10_%"}, []),
        ({"text": "cup", "verdicts": [VERDICT_REVIEW]}, [4, 1]),
    ],
    ids=str,
)
async def test_search(as_: As, asked: dict[str, Any], numbers: list[int]) -> None:
    """Each condition by itself and with others, the newest first; another tenant's case is never found."""
    assert await found(as_, **asked) == numbers


async def test_pages(as_: As) -> None:
    """Pages join without gap or repetition, and the last one says so."""
    numbers, cursor = [], ""
    while True:
        asked = SearchCasesRequest(page_size=2, page_token=cursor)
        answer = await as_("auditor").SearchCases(asked, timeout=20)
        numbers.append([int(case.check_id[-12:]) for case in answer.cases])
        if not (cursor := answer.next_page_token):
            break
    assert numbers == [[4, 3], [2, 1], [0]]


async def test_a_line_of_the_list(as_: As) -> None:
    """What a list shows of a case: labels by gravity, the highest score, when it was decided."""
    answer = await as_("auditor").SearchCases(SearchCasesRequest(verdicts=[VERDICT_BLOCK]), timeout=20)
    (case,) = answer.cases
    assert list(case.labels) == [
        "logo_infringement/unauthorised_brand",
        "prohibited_ads/contact_details",
        "nudity/explicit",
    ]
    assert (case.verdict, case.seller, case.score) == (VERDICT_BLOCK, "bert", 1.0)
    assert (case.decided_at, case.claimed_by) == (hour(2), "")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"verdicts": [0]}, "verdicts[0]"),
        ({"verdicts": [VERDICT_HOLD, 77]}, "verdicts[1]"),
        ({"labels": ["explicit"]}, "labels[0]"),
        ({"bundle_digests": [b"short"]}, "bundle_digests[0]"),
        ({"sellers": ["s"] * 101}, "sellers"),
        ({"min_score": 1.5}, "min_score"),
        ({"min_score": float("nan")}, "min_score"),
        ({"page_size": 201}, "page_size"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "yesterday"}, "page_token"),
        ({"since": hour(2), "until": hour(2)}, "until"),
        ({"since": Timestamp(seconds=10**15)}, "since"),
        ({"text": "x" * 501}, "text"),
    ],
    ids=str,
)
async def test_what_cannot_be_searched(as_: As, asked: dict[str, Any], field: str) -> None:
    """The field is named."""
    refused = await refusal(as_("auditor").SearchCases(SearchCasesRequest(**asked), timeout=20))
    assert refused.reason is Reason.INVALID_FIELD
    assert [violation.field for violation in refused.violations] == [field]


async def test_a_case(as_: As) -> None:
    """Everything on record: the answer with its whole receipt, what was seen, sent and done."""
    case = await as_("auditor").GetCase(GetCaseRequest(check_id=check_id(4)), timeout=20)
    new = DECISIONS[4]
    assert (case.listing, case.observations) == (new.listing, new.observations)
    assert (case.summary.check_id, case.response.findings) == (check_id(4), new.response.findings)
    assert case.response.receipt.log_index == 4
    (event,) = case.events
    assert (event.kind, event.actor, event.log_index) == ("decided", new.caller, 4)
    assert event.detail == "REVIEW by default@1"


async def test_nobody_sees_another_tenant_s_case(as_: As) -> None:
    """It is not there, as one that never was."""
    for wanted in (check_id(5), check_id(99)):
        refused = await refusal(as_("auditor").GetCase(GetCaseRequest(check_id=wanted), timeout=20))
        assert refused.reason is Reason.NOT_FOUND
    unnamed = await refusal(as_("auditor").GetCase(GetCaseRequest(), timeout=20))
    assert unnamed.reason is Reason.MISSING_FIELD


async def test_who_may(as_: As) -> None:
    """Compliance administrators look too; pipelines do not."""
    assert await found(as_, "admin", text="shoes") == [3]
    for who in ("pipeline", "stranger", "nobody"):
        for method, request in (
            ("SearchCases", SearchCasesRequest()),
            ("GetCheckpoint", GetCheckpointRequest()),
        ):
            refused = await refusal(getattr(as_(who), method)(request, timeout=20))
            assert refused.reason is Reason.PERMISSION_DENIED


async def test_every_entry_is_proved(as_: As, filled: Site) -> None:
    """Each entry, in the newest log and in each that a checkpoint was signed over, against the pinned key."""
    key = load_verifier_key(filled.folder / "log.vkey")
    with closing(sqlite3.connect(filled.folder / "data/ostiary.db")) as store:
        leaves = [leaf_hash(data) for (data,) in store.execute("SELECT data FROM entries ORDER BY log_index")]
    newest = await as_("auditor").GetCheckpoint(GetCheckpointRequest(), timeout=20)
    assert open_checkpoint(newest.checkpoint, key).size == len(leaves) == 6
    for size in (0, *range(1, 7)):
        for index in range(size or 6):
            asked = GetInclusionProofRequest(log_index=index, tree_size=size)
            proof = await as_("auditor").GetInclusionProof(asked, timeout=20)
            signed = open_checkpoint(proof.checkpoint, key)
            assert (signed.size, proof.leaf_hash) == (size or 6, leaves[index])
            verify_inclusion(proof.leaf_hash, index, signed.size, list(proof.path), signed.root)


async def test_the_log_only_grows(as_: As, filled: Site) -> None:
    """Each earlier log is shown to be a part of each later one."""
    key = load_verifier_key(filled.folder / "log.vkey")

    async def signed(size: int) -> Any:
        asked = GetInclusionProofRequest(log_index=0, tree_size=size)
        return open_checkpoint((await as_("auditor").GetInclusionProof(asked, timeout=20)).checkpoint, key)

    for old in range(1, 7):
        for new in (0, *range(old, 7)):
            asked = GetConsistencyProofRequest(from_size=old, to_size=new)
            proof = await as_("auditor").GetConsistencyProof(asked, timeout=20)
            later = open_checkpoint(proof.checkpoint, key)
            verify_consistency(old, (await signed(old)).root, later.size, later.root, list(proof.path))


@pytest.mark.parametrize(
    ("method", "asked", "reason"),
    [
        ("GetInclusionProof", GetInclusionProofRequest(log_index=6), Reason.NOT_FOUND),
        ("GetInclusionProof", GetInclusionProofRequest(log_index=3, tree_size=3), Reason.NOT_FOUND),
        ("GetInclusionProof", GetInclusionProofRequest(log_index=3, tree_size=9), Reason.NOT_FOUND),
        ("GetInclusionProof", GetInclusionProofRequest(log_index=-1), Reason.INVALID_FIELD),
        ("GetInclusionProof", GetInclusionProofRequest(tree_size=-1), Reason.INVALID_FIELD),
        ("GetConsistencyProof", GetConsistencyProofRequest(), Reason.INVALID_FIELD),
        ("GetConsistencyProof", GetConsistencyProofRequest(from_size=4, to_size=2), Reason.INVALID_FIELD),
        ("GetConsistencyProof", GetConsistencyProofRequest(from_size=9), Reason.NOT_FOUND),
    ],
    ids=str,
)
async def test_what_cannot_be_proved(as_: As, method: str, asked: Any, reason: Reason) -> None:
    """An entry that is not there, and a log that never was."""
    assert (await refusal(getattr(as_("auditor"), method)(asked, timeout=20))).reason is reason


async def test_an_empty_log(site: Site) -> None:
    """Before the first decision there is nothing to find, and nothing was signed."""
    async with site.start() as running:
        stub = AuditServiceStub(running.channel("auditor"))
        assert not (await stub.SearchCases(SearchCasesRequest(), timeout=20)).cases
        for call in (
            stub.GetCheckpoint(GetCheckpointRequest(), timeout=20),
            stub.GetInclusionProof(GetInclusionProofRequest(), timeout=20),
        ):
            assert (await refusal(call)).reason is Reason.NOT_FOUND


async def test_a_store_from_before(filled: Site) -> None:
    """An upgrade makes what is on record findable; what is damaged is left out, and the gateway serves."""
    with closing(sqlite3.connect(filled.folder / "data/ostiary.db", isolation_level=None)) as store:
        store.execute("DROP TABLE cases")
        store.execute("DROP TABLE case_terms")
        store.execute("DROP TABLE case_events")
        store.execute("DROP TABLE erasures")
        store.execute("DROP TABLE evidence_keys")
        store.execute("DROP TABLE evidence_kms")
        store.execute("DROP TABLE appeals")
        store.execute("DROP TABLE case_index")
        store.execute("DROP TABLE case_blocks")
        store.execute("UPDATE alembic_version SET version_num = '0002'")
        store.execute("UPDATE decisions SET record = x'' WHERE log_index = 1")
        store.execute("UPDATE decisions SET record = x'ff' WHERE log_index = 3")
    await record(filled, decision(6, title="Later"))
    async with filled.start() as running:
        assert await _numbers(running) == [6, 4, 2, 0]
        assert await _numbers(running, labels=["prohibited_ads/contact_details"]) == [2]


async def _numbers(running: Running, **asked: Any) -> list[int]:
    return await found(lambda who: AuditServiceStub(running.channel(who)), **asked)
