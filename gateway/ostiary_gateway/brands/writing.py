"""A registry as a file that holds all of it, images too."""

from google.protobuf import json_format

from ostiary.v1.config_pb2 import BrandRegistry


def registry_text(message: BrandRegistry) -> str:
    """The proto3 JSON mapping, images in base64: one file, so that it can be replaced at once."""
    return json_format.MessageToJson(message, indent=1, ensure_ascii=False) + "\n"


def without_images(message: BrandRegistry) -> BrandRegistry:
    """The same without its marks' images."""
    bare = BrandRegistry()
    bare.CopyFrom(message)
    for brand in bare.brands:
        for mark in brand.marks:
            mark.ClearField("image")
    return bare


def with_known_images(message: BrandRegistry, known: BrandRegistry | None) -> BrandRegistry:
    """The same, where a mark without an image has that of the mark of the same brand and id in `known`."""
    if known is None:
        return message
    images = {(brand.id, mark.reference_id): mark.image for brand in known.brands for mark in brand.marks}
    filled = BrandRegistry()
    filled.CopyFrom(message)
    for brand in filled.brands:
        for mark in brand.marks:
            mark.image = mark.image or images.get((brand.id, mark.reference_id), b"")
    return filled
