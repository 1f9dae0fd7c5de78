"""What a pod is asked: the caller's bytes as they came, behind what the gateway adds."""

from dataclasses import dataclass

from ostiary.v1.inference_pb2 import InferRequest

_LENGTH_DELIMITED = 2
_TAG = InferRequest.DESCRIPTOR.fields_by_name["check_request"].number << 3 | _LENGTH_DELIMITED


@dataclass(frozen=True)
class Ask:
    """One check for a pod.

    Attributes:
        check_id: identifier of the check.
        check_request: the caller's CheckRequest, serialised.
        detectors_only: whether the model is left out.
    """

    check_id: str
    check_request: bytes
    detectors_only: bool = False

    def encoded(self) -> bytes:
        """The serialised InferRequest.

        The images are copied once. As a field of a message they would be copied into it, be there for as long
        as the pod looks, and be copied once more to be sent. Source: Protocol Buffers, Encoding, where fields
        may stand in any order.
        """
        rest = InferRequest(check_id=self.check_id, detectors_only=self.detectors_only)
        head = rest.SerializeToString() + bytes([_TAG]) + _varint(len(self.check_request))
        return head + self.check_request


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the eighth set."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
