"""docs/lists.md shows what works."""

import re
from pathlib import Path

from ostiary_gateway.hashes.header import LIFTABLE
from ostiary_gateway.hashes.reading import COLUMNS, read_list

PAGE = (Path(__file__).resolve().parents[3] / "docs/lists.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The first code block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_the_example_is_a_list() -> None:
    """Header and entries are read as a gateway would."""
    lines = block("text").encode().splitlines(keepends=True)
    one = read_list("known-fakes", block("yaml").encode(), lines)
    assert (one.header.title, one.header.kind, len(one)) == ("known-fakes@7", "pdq", 1)
    assert lines[0].decode().strip().split(",") == list(COLUMNS)


def test_all_that_can_be_lifted_is_named() -> None:
    """The sources that a policy's `allowLifts` may name."""
    assert all(f"`{source}`" in PAGE for source in LIFTABLE)
