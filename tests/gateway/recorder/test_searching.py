"""Searching a large store: in SQLite, with the index and without, and in PostgreSQL, all is found."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event

from gateway.recorder.conftest import Home, make_home
from gateway.recorder.searched_store import COUNT, DECISIONS, START, asking, fill, index_all
from ostiary.v1.audit_pb2 import CASE_STATE_CLAIMED, CASE_STATE_DECIDED, CASE_STATE_OPEN
from ostiary.v1.decision_pb2 import VERDICT_ALLOW, VERDICT_BLOCK, VERDICT_HOLD, VERDICT_REVIEW
from ostiary_gateway.review.cases import Place, Search
from ostiary_gateway.store import postgres_search
from ostiary_gateway.store.case_queries import search_cases
from postgres import Postgres


@pytest.fixture(scope="module")
def unindexed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A store whose index nobody has begun, as after an upgrade."""
    home = make_home(tmp_path_factory.mktemp("unindexed") / "stack")
    fill(home, COUNT)
    return home


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A store of two blocks that are indexed, and some cases behind them."""
    home = make_home(tmp_path_factory.mktemp("indexed") / "stack")
    fill(home, COUNT)
    assert index_all(home) == 2
    return home


@pytest.fixture(scope="module")
def in_postgres(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Home:
    """A PostgreSQL with as many."""
    home = make_home(tmp_path_factory.mktemp("postgres") / "stack", postgres.database())
    fill(home, COUNT)
    return home


@contextmanager
def statements(connection: Connection) -> Iterator[list[tuple[str, tuple[object, ...]]]]:
    """What is asked of the database meanwhile, with the parameters."""
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(_: object, __: object, statement: str, parameters: tuple[object, ...], *more: object) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    yield asked
    event.remove(connection, "before_cursor_execute", note)


def numbers(connection: Connection, search: Search) -> list[int]:
    return [int(line.record.check_id) for line in search_cases(connection, search).lines]


def us(seconds: int) -> int:
    return int((START + timedelta(seconds=seconds)).timestamp()) * 1_000_000


SEARCHES = {
    "everything": Search("demo"),
    "another tenant": Search("other", verdicts=(VERDICT_REVIEW,)),
    "nobody": Search("nobody", words=("cotton",)),
    "a common word": Search("demo", words=("cotton",)),
    "a rare word": Search("demo", words=("word7x",)),
    "a part of words": Search("demo", words=("ord1",)),
    "two Chinese characters": Search("demo", words=("罕见",)),
    "a part of a Chinese word": Search("demo", words=("机壳",)),
    "four Chinese characters": Search("demo", words=("一二三四",)),
    "a letter and a rare word": Search("demo", words=("x", "word9")),
    "two letters": Search("demo", words=("9x",)),
    "words that never meet": Search("demo", words=("word7x", "word8x")),
    "a word that is nowhere": Search("demo", words=("cottonx",)),
    "signs that mean something to databases": Search("demo", words=("t%s", "_")),
    "an old policy": Search("demo", policies=("default@1",)),
    "policies": Search("demo", policies=("default@3", "default@1", "none@1")),
    "an old bundle": Search("demo", bundle_digests=(b"\0",)),
    "a label": Search("demo", labels=("nudity/partial",)),
    "a brand": Search("demo", brands=("brand-7",)),
    "a brand and a label": Search("demo", brands=("brand-7",), labels=("nudity/explicit",)),
    "a score": Search("demo", min_score=0.97),
    "the highest score": Search("demo", min_score=1.0),
    "a rare seller": Search("demo", sellers=("s-37",)),
    "a large seller's word": Search("demo", sellers=("s-1",), words=("word3",)),
    "a verdict that is rare": Search("demo", verdicts=(VERDICT_HOLD,)),
    "a verdict and a word": Search("demo", verdicts=(VERDICT_ALLOW,), words=("word5x",)),
    "open": Search("demo", states=(CASE_STATE_OPEN,)),
    "claimed": Search("demo", states=(CASE_STATE_CLAIMED,)),
    "open or claimed": Search("demo", states=(CASE_STATE_OPEN, CASE_STATE_CLAIMED), words=("hose",)),
    "decided": Search("demo", states=(CASE_STATE_DECIDED,), words=("word1",)),
    "a time": Search("demo", since_us=us(3000), until_us=us(3100)),
    "an old time and a word": Search("demo", until_us=us(4500), words=("word2",)),
    "a new time and a label": Search("demo", since_us=us(COUNT - 600), labels=("nudity/partial",)),
    "all of it": Search(
        "demo",
        verdicts=(VERDICT_ALLOW, VERDICT_BLOCK),
        labels=("nudity/partial", "nudity/explicit"),
        sellers=("s-1", "s-2"),
        words=("shirt",),
        since_us=us(1000),
        until_us=us(8000),
        min_score=0.3,
    ),
}


@pytest.mark.parametrize("where", ["indexed", "unindexed", "in_postgres"])
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())
def test_pages(request: pytest.FixtureRequest, where: str, search: Search) -> None:
    """Pages join to all that fits, the newest first, without gap or repetition."""
    with asking(request.getfixturevalue(where)) as connection:
        check_pages(connection, search)


@pytest.mark.parametrize(("few", "one_by_one"), [(0, False), (COUNT, True)], ids=["common", "rare"])
@pytest.mark.parametrize("name", ["a label", "a brand", "a brand and a label", "all of it"])
def test_terms_in_postgres(
    in_postgres: Home, name: str, few: int, one_by_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cases are found by rare labels and brands one by one, and by those that too many have otherwise."""
    monkeypatch.setattr(postgres_search, "_FEW", few)
    with asking(in_postgres) as connection, statements(connection) as asked:
        check_pages(connection, SEARCHES[name])
    assert any("= ANY" in statement for statement, _ in asked) == one_by_one


def check_pages(connection: Connection, search: Search) -> None:
    wanted = sorted(
        (each for each in DECISIONS if each.fits(search)), key=lambda each: each.order, reverse=True
    )
    found, behind = list[int](), None
    while True:
        page = search_cases(connection, replace(search, most=200, behind=behind))
        found += [int(line.record.check_id) for line in page.lines]
        if (behind := page.end) is None or len(found) > 1000:
            break
    assert found == [int(each.new.check_id) for each in wanted[: len(found)]]
    assert len(found) == len(wanted) or len(found) > 1000


def test_deep_in_the_past(indexed: Home) -> None:
    """A page behind a place deep in the store holds what stands behind it."""
    place = Place(*sorted(each.order for each in DECISIONS)[1500])
    for name in ("everything", "a common word", "a rare word", "a label", "an old policy"):
        search = replace(SEARCHES[name], behind=place)
        fits = sorted((each.order for each in DECISIONS if each.fits(search)), reverse=True)
        with asking(indexed) as connection:
            assert numbers(connection, search) == [number for _, number in fits[:50]], name


# What may be gone through from one end to the other: lists of a few, and a row for each block.
SHORT = ("SCAN (subquery", "SCAN anon_", "SCAN wanted VIRTUAL", "SCAN CONSTANT ROW", "SCAN case_blocks")


def ways(connection: Connection, search: Search) -> list[str]:
    """What SQLite does for a search, step by step."""
    with statements(connection) as asked:
        search_cases(connection, search)
    return [
        row.detail
        for statement, parameters in asked
        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())
def test_every_search_goes_by_an_index(indexed: Home, search: Search) -> None:
    """No table is gone through from one end to the other."""
    with asking(indexed) as connection:
        steps = ways(connection, search)
    assert [step for step in steps if step.startswith("SCAN") and not step.startswith(SHORT)] == []


IN_BLOCKS = "SEARCH case_index USING PRIMARY KEY (block=? AND term=?)"


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("a rare word", IN_BLOCKS),
        ("a word that is nowhere", IN_BLOCKS),
        ("an old policy", IN_BLOCKS),
        ("an old bundle", IN_BLOCKS),
        ("a verdict and a word", IN_BLOCKS),
        (
            "a brand",
            "SEARCH case_terms USING PRIMARY KEY (kind=? AND value=? AND log_index>? AND log_index<?)",
        ),
        ("a rare seller", "cases_by_seller (tenant=? AND seller=?)"),
        ("a verdict that is rare", "cases_by_verdict (tenant=? AND verdict=?)"),
        ("open", "cases_waiting (tenant=?)"),
        ("claimed", "cases_claimed (tenant=? AND lease_until_us>?)"),
        ("a time", "cases_by_time (tenant=? AND decided_us>? AND decided_us<?)"),
        ("everything", "SEARCH cases USING INDEX cases_by_time (tenant=?)"),
    ],
)
def test_the_way_that_is_short(indexed: Home, name: str, way: str) -> None:
    """Each kind of search by what it is quickest found by."""
    with asking(indexed) as connection:
        steps = ways(connection, SEARCHES[name])
    assert [step for step in steps if step.endswith(way)], steps
