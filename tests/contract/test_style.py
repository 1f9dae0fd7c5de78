"""The contract keeps to buf's style and explains every field."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).resolve().parents[2] / "proto/ostiary").rglob("*.proto"))
DEFINITION = re.compile(
    r"^\s*(?:(?:optional |repeated )?[\w.<>, ]+ (?P<field>\w+) = (?P<number>-?\d+)( \[.*\])?;"
    r"|rpc (?P<rpc>\w+)\((?:stream )?(?P<request>\w+)\) returns \((?:stream )?(?P<response>\w+)\);"
    r"|(?P<kind>message|enum|service|oneof) (?P<name>\w+) \{)"
)


def definitions(source: Path) -> Iterator[tuple[int, re.Match[str], str]]:
    """Line number, match, and the line before, for each definition in a file."""
    before = ""
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        match = DEFINITION.match(line)
        if match and not line.startswith(("syntax", "package", "import")):
            yield number, match, before
        before = line


def by_name(source: Path) -> str:
    return source.name


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_everything_is_explained(source: Path) -> None:
    """Every message, field, enum, value, service and method has a comment above it."""
    bare = [f"{source.name}:{number}" for number, _, before in definitions(source) if "//" not in before]
    assert not bare


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_requests_and_responses_are_named_after_their_method(source: Path) -> None:
    """Each method has messages of its own, so that either can grow."""
    for number, match, _ in definitions(source):
        if match["rpc"]:
            pair = (match["request"], match["response"])
            assert pair == (f"{match['rpc']}Request", f"{match['rpc']}Response"), f"{source.name}:{number}"


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_enums_start_unspecified_and_carry_their_name(source: Path) -> None:
    """An unset enum is never mistaken for a value, and values do not collide."""
    text = source.read_text(encoding="utf-8")
    for name, body in re.findall(r"^enum (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()
        values = re.findall(r"^  (\w+) = (\d+);", body, re.MULTILINE)
        assert values[0] == (f"{prefix}_UNSPECIFIED", "0")
        assert all(value.startswith(f"{prefix}_") for value, _ in values)


@pytest.mark.parametrize("source", SOURCES, ids=by_name)
def test_services_end_in_service(source: Path) -> None:
    """A service is told from a message by its name."""
    for _, match, _ in definitions(source):
        assert match["kind"] != "service" or match["name"].endswith("Service")
