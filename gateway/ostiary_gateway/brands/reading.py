"""A registry from its file: the proto3 JSON mapping of ostiary.v1.BrandRegistry, as YAML or as JSON.

Two things are easier than the mapping has them: a mark may name a PNG file beside the registry (`imageFile`)
in place of its bytes in base64 (`image`), and YAML's own times are taken.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any

from google.protobuf import json_format

from ostiary.v1.config_pb2 import BrandRegistry
from ostiary_gateway import strict_yaml
from ostiary_gateway.brands.lint import Fault, Place, faults
from ostiary_gateway.brands.problems import MOST_PROBLEMS, BadRegistryError
from ostiary_gateway.hashes.problems import Problem
from ostiary_gateway.rules.problem import Lines

_IMAGE_FILES = ("imageFile", "image_file")
_TIMES = frozenset(("validFrom", "valid_from", "validUntil", "valid_until"))
_ENTRY = 4  # steps of the place of a mark or an authorisation: brands, its number, marks, its number


def read_registry(file: str, text: str, load_image: Callable[[str], bytes]) -> BrandRegistry:
    """The valid registry that a file holds, with its marks' images.

    Args:
        file: its name; without suffix the registry's.
        text: what it holds.
        load_image: gives the bytes of a file beside it; raises OSError where there is none.

    Raises:
        BadRegistryError: says which line and field, and why.
    """
    try:
        document = _document(text)
        images, wrong = _taken_out(document, load_image)
        message = json_format.ParseDict(document, BrandRegistry())
    except strict_yaml.BadYaml as error:
        raise BadRegistryError([Problem(file, error.line, error.reason)]) from error
    except (json_format.ParseError, ValueError) as error:
        raise BadRegistryError([Problem(file, 0, " ".join(str(error).split()))]) from error
    for image in images:
        message.brands[image.brand].marks[image.mark].image = image.data
    broken = {fault.place[:_ENTRY] for fault in wrong}
    found = [*wrong, *(fault for fault in faults(message) if fault.place[:_ENTRY] not in broken)]
    stem = file.rpartition(".")[0]
    if message.name != stem:
        found.append(Fault(("name",), f"a registry is called as its file is: {stem!r}, not {message.name!r}"))
    if found:
        raise BadRegistryError(_located(file, text, found))
    return message


@dataclass(frozen=True, slots=True)
class _Image:
    """The bytes of a mark, and which one's they are."""

    brand: int
    mark: int
    data: bytes


def _document(text: str) -> dict[str, Any]:
    """The mapping in `text`. JSON is YAML, but YAML's parser takes minutes for megabytes of images."""
    if not text.lstrip().startswith("{"):
        return strict_yaml.parse_mapping(text)
    try:
        document: dict[str, Any] = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError:
        return strict_yaml.parse_mapping(text)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for key, value in pairs:
        if key in held:
            raise ValueError(f"{key!r} is given twice; keep one of the two")
        held[key] = value
    return held


def _taken_out(
    document: dict[str, Any], load_image: Callable[[str], bytes]
) -> tuple[list[_Image], list[Fault]]:
    """What the mapping does not know, taken out of a document: images that files hold, and YAML's times."""
    wrong = list(_times_as_text((), document))
    images = []
    for brand, number, mark in _marks(document):
        named = [mark.pop(key) for key in _IMAGE_FILES if key in mark]
        place = ("brands", brand, "marks", number, "imageFile")
        if len(named) + ("image" in mark) > 1:
            wrong.append(Fault(place, "give image or imageFile, not both"))
        elif named:
            try:
                images.append(_Image(brand, number, _load(named[0], load_image)))
            except ValueError as error:
                wrong.append(Fault(place, str(error)))
    return images, wrong


def _marks(document: dict[str, Any]) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Brand, number and mapping of each mark; what has another shape is for the JSON mapping to refuse."""
    for brand, entry in _mappings(document.get("brands")):
        for number, mark in _mappings(entry.get("marks")):
            yield brand, number, mark


def _mappings(value: object) -> Iterator[tuple[int, dict[str, Any]]]:
    items = value if isinstance(value, list) else []
    yield from ((number, item) for number, item in enumerate(items) if isinstance(item, dict))


def _load(named: object, load_image: Callable[[str], bytes]) -> bytes:
    path = PurePosixPath(named) if isinstance(named, str) and named else None
    if path is None or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{named!r}; a path below the registry's folder is needed, such as marks/acme.png")
    try:
        return load_image(str(path))
    except OSError as error:
        raise ValueError(f"{named}: {error.strerror or error}") from error


def _times_as_text(place: Place, value: Any) -> Iterator[Fault]:
    """Put texts in the place of YAML's dates and times, and say which times have no zone."""
    for key, item in _items(value):
        if isinstance(item, date):
            value[key] = item.isoformat()
            if key in _TIMES and not (isinstance(item, datetime) and item.tzinfo):
                del value[key]
                reason = f"{item}; a time with its zone is needed, such as 2027-01-31T00:00:00Z"
                yield Fault((*place, key), reason)
        else:
            yield from _times_as_text((*place, key), item)


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _located(file: str, text: str, found: Sequence[Fault]) -> list[Problem]:
    """Faults as problems of a file, with their lines; those of JSON, which may be one long line, without."""
    told = found[:MOST_PROBLEMS]
    if text.lstrip().startswith("{"):
        return [Problem(file, 0, str(fault)) for fault in told]
    lines = Lines(text)
    problems = [Problem(file, lines.problem(fault.place, "").line, str(fault)) for fault in told]
    return sorted(problems, key=lambda problem: problem.line)
