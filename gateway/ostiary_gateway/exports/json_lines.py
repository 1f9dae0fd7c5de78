"""Cases as JSON, one a line: each as GetCase answers, in proto3's JSON mapping."""

import json
from collections.abc import Sequence

from google.protobuf.json_format import MessageToDict

from ostiary_gateway.review.cases import Case
from ostiary_gateway.review.service import case_answer


class JsonEncoder:
    """One GetCaseResponse a line, UTF-8; fields that are not set are left out. What a replay reads."""

    def head(self) -> bytes:
        """Nothing."""
        return b""

    def cases(self, page: Sequence[Case], now_us: int) -> bytes:
        """A line for each."""
        return b"".join(_line(case, now_us) for case in page)

    def tail(self) -> bytes:
        """Nothing."""
        return b""


def _line(case: Case, now_us: int) -> bytes:
    document = MessageToDict(case_answer(case, now_us))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
