"""When the keeper is not live: where something hangs, and not where the API server is away."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ostiary_operator.cluster.attention import Attention
from ostiary_operator.cluster.kinds import MODEL_VERSIONS
from ostiary_operator.cluster.knowing import Knowing
from ostiary_operator.cluster.mirror import Mirror
from ostiary_operator.cluster.pulse import SILENT_SECONDS, STUCK_SECONDS, Pulse
from ostiary_operator.cluster.seeing import Sightings

Json = dict[str, Any]


class Watched:
    """What watches and lists tell of ModelVersions, on a clock that tests move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pulse = Pulse(lambda: self.now)

        async def look(_: tuple[str, str]) -> float:
            raise AssertionError("nobody is to be looked at")

        deployments, runs, autoscalers = (
            Attention(look, lambda: False, random.Random(0), lambda *_: None) for _ in range(3)
        )
        self.knowing = Knowing(
            Mirror(), Sightings(), deployments, runs, autoscalers, lambda: self.now, self.pulse
        )

    def told(self, *versions: int) -> None:
        for number in versions:
            self.knowing.told(MODEL_VERSIONS, "ADDED", _version(number))

    def listed(self, *versions: int) -> None:
        newest = f"{max(versions, default=0) + 1}"
        self.knowing.listed(MODEL_VERSIONS, "shop", [_version(number) for number in versions], newest)

    def passes(self, seconds: float, away: bool = False) -> None:
        """Time, in which the watches' loop turns and the Lease is asked for."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1.0
            self.pulse.beat()
            if away:
                self.pulse.away()


def _version(number: int, namespace: str = "shop") -> Json:
    metadata = {
        "name": f"v{number}",
        "namespace": namespace,
        "uid": f"{number}",
        "resourceVersion": f"{number}",
    }
    return {"metadata": metadata, "spec": {"model": "qwen"}}


def hangs(watched: Watched) -> None:
    watched.listed(5)
    watched.passes(SILENT_SECONDS + 1)


def tells_late(watched: Watched) -> None:
    watched.listed(5)
    watched.passes(SILENT_SECONDS - 1)
    watched.told(5)
    watched.passes(1_000)


def tells_others(watched: Watched) -> None:
    watched.listed(5)
    watched.told(3)
    watched.passes(SILENT_SECONDS + 1)


def tells_what_came_later(watched: Watched) -> None:
    watched.listed(5)
    watched.told(6)
    watched.passes(1_000)


def is_listed_again(watched: Watched) -> None:
    watched.listed(5)
    watched.passes(150)
    watched.listed(5)
    watched.listed(5, 6)
    watched.passes(60)


def is_gone(watched: Watched) -> None:
    watched.listed(5)
    watched.passes(150)
    watched.listed()
    watched.passes(1_000)


def finds_nothing_new(watched: Watched) -> None:
    watched.told(5, 6)
    watched.listed(5, 6)
    watched.passes(1_000)


def is_away(watched: Watched) -> None:
    watched.listed(5)
    watched.passes(1_000, away=True)
    watched.passes(SILENT_SECONDS - 5)


def hangs_when_it_is_back(watched: Watched) -> None:
    is_away(watched)
    watched.passes(10)


def another_namespace_is_in_order(watched: Watched) -> None:
    watched.listed(5)
    watched.knowing.listed(MODEL_VERSIONS, "other", [], "9")
    watched.knowing.told(MODEL_VERSIONS, "ADDED", _version(8, "other"))
    watched.passes(SILENT_SECONDS + 1)


def is_quiet(watched: Watched) -> None:
    watched.told(5)
    watched.passes(10_000)


CASES: Mapping[str, tuple[Callable[[Watched], None], str]] = {
    "a watch that hangs": (hangs, "the watch of modelversions in shop has told nothing for 181 s"),
    "a watch that is late": (tells_late, ""),
    "a watch that tells older things alone": (
        tells_others,
        "the watch of modelversions in shop has told nothing",
    ),
    "a watch that tells newer things": (tells_what_came_later, ""),
    "a watch that hangs while lists go on": (
        is_listed_again,
        "the watch of modelversions in shop has told nothing",
    ),
    "an object that went before it was told": (is_gone, ""),
    "a list that finds nothing new": (finds_nothing_new, ""),
    "an API server that is away": (is_away, ""),
    "a watch that hangs when the server is back": (hangs_when_it_is_back, "has told nothing for 185 s"),
    "a watch that hangs beside one that does not": (
        another_namespace_is_in_order,
        "the watch of modelversions in shop has told nothing",
    ),
    "nothing that happens": (is_quiet, ""),
}


@pytest.mark.parametrize(("happens", "trouble"), CASES.values(), ids=CASES)
def test_a_watch_that_hangs_is_found(happens: Callable[[Watched], None], trouble: str) -> None:
    """By what lists find and it does not tell, so long as the API server answers."""
    watched = Watched()
    happens(watched)
    found = watched.pulse.trouble()
    assert trouble in found
    assert bool(trouble) == bool(found)


def test_a_loop_that_does_not_turn_is_found() -> None:
    """Once it has begun, and until it ends in order."""
    watched = Watched()
    watched.now = 100.0
    assert not watched.pulse.trouble()
    watched.passes(10)
    watched.now += STUCK_SECONDS
    assert not watched.pulse.trouble()
    watched.now += 1.0
    assert "event loop has not turned for 16 s" in watched.pulse.trouble()
    watched.pulse.ended()
    assert not watched.pulse.trouble()
