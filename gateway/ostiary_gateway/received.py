"""What of a check is held while it is worked on. Pure."""

from dataclasses import dataclass
from hashlib import sha256

from ostiary.v1.moderation_pb2 import CheckRequest


@dataclass(frozen=True)
class ReceivedCheck:
    """A check as it is worked on: the images' bytes, which may be many, are in `raw` alone.

    Attributes:
        raw: the serialised CheckRequest, as a pod is sent it.
        request: what it says, without the images' data.
        sha256: of `raw`, 32 bytes.
        image_sha256s: of each image's data, in order.
    """

    raw: bytes
    request: CheckRequest
    sha256: bytes
    image_sha256s: tuple[bytes, ...]

    @classmethod
    def of(cls, raw: bytes, request: CheckRequest) -> "ReceivedCheck":
        """The check that is serialised as `raw`; the images' data are taken out of `request`."""
        images = tuple(sha256(image.data).digest() for image in request.images)
        for image in request.images:
            image.ClearField("data")
        # A message's memory is given back with all of it: what is kept is another one.
        kept = CheckRequest()
        kept.CopyFrom(request)
        return cls(raw, kept, sha256(raw).digest(), images)

    def work(self) -> CheckRequest:
        """The request without its idempotency key, which names the attempt and not the work."""
        work = CheckRequest()
        work.CopyFrom(self.request)
        work.ClearField("idempotency_key")
        return work
