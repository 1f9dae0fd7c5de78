"""What a pod is asked, as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.v1.inference_pb2 import InferRequest
from ostiary_gateway.pods import Ask


@given(check_id=st.text(), check_request=st.binary(max_size=40_000), detectors_only=st.booleans())
def test_what_is_sent(check_id: str, check_request: bytes, detectors_only: bool) -> None:
    """A pod reads what the message's own serialiser would have sent."""
    sent = InferRequest.FromString(Ask(check_id, check_request, detectors_only).encoded())
    assert sent == InferRequest(check_id=check_id, check_request=check_request, detectors_only=detectors_only)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_sizes(size: int) -> None:
    """The length is right on both sides of where it takes another byte."""
    assert InferRequest.FromString(Ask("c", bytes(size)).encoded()).check_request == bytes(size)
