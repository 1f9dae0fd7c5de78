"""Turns what callers have at hand into a CheckRequest."""

import os
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypedDict

from ostiary.v1.image_pb2 import Image
from ostiary.v1.listing_pb2 import Listing, Wants
from ostiary.v1.moderation_pb2 import CheckRequest, CheckStreamHeader
from ostiary.wire.errors import FieldViolation, OstiaryError, Reason

UNARY_BYTES = 4 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024

ImageInput = bytes | str | os.PathLike[str]
Want = Literal["flags", "description", "attributes"]


class ListingFields(TypedDict, total=False):
    """What is known of the listing; all of it optional. See `ostiary.v1.Listing` for limits."""

    listing_id: str
    title: str
    description: str
    category: str
    seller: str
    claimed_brand: str
    territory: str
    language: str


def build_request(
    images: ImageInput | Sequence[ImageInput],
    listing: ListingFields,
    wants: Collection[Want] | None,
    idempotency_key: str | None,
) -> CheckRequest:
    """The request for these images; a path is read, and its file name sent as the image's name.

    Raises:
        OstiaryError: a file cannot be read.
    """
    many = [images] if isinstance(images, (bytes, str, os.PathLike)) else images
    return CheckRequest(
        idempotency_key=uuid.uuid4().hex if idempotency_key is None else idempotency_key,
        images=[_image(index, image) for index, image in enumerate(many)],
        listing=Listing(**listing),
        wants=None if wants is None else Wants(**dict.fromkeys(wants, True)),
    )


def _image(index: int, image: ImageInput) -> Image:
    if isinstance(image, bytes):
        return Image(data=image)
    path = Path(image)
    try:
        return Image(data=path.read_bytes(), name=path.name[-256:])
    except OSError as error:
        what = f"cannot read {path}: {error.strerror}"
        violation = FieldViolation(field=f"images[{index}]", description=what)
        raise OstiaryError(Reason.INVALID_FIELD, what, violations=[violation]) from error


def fits_one_message(request: CheckRequest) -> bool:
    """Whether Check takes it; otherwise it goes by CheckStream."""
    return request.ByteSize() <= UNARY_BYTES


def stream_header(request: CheckRequest) -> CheckStreamHeader:
    """The request without the images' data."""
    bare = CheckRequest(
        idempotency_key=request.idempotency_key,
        images=[Image(name=image.name, uri=image.uri) for image in request.images],
        listing=request.listing if request.HasField("listing") else None,
        wants=request.wants if request.HasField("wants") else None,
    )
    return CheckStreamHeader(request=bare, sizes=[len(image.data) for image in request.images])


def chunks(request: CheckRequest) -> Iterator[bytes]:
    """The images' bytes in order, in pieces of at most 1 MiB that never span two images."""
    for image in request.images:
        for start in range(0, len(image.data), CHUNK_BYTES):
            yield image.data[start : start + CHUNK_BYTES]
