"""The autoscalers' benchmark: traces, pods, simulator, oracle, and how policies are compared."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import performance
from bench.autoscale import __main__ as command
from bench.autoscale import plot, summary, traces
from bench.autoscale.arms import ARMS
from bench.autoscale.capacity import PodModel, from_engine_bench, from_profile
from bench.autoscale.compare import Point, cheaper, cost_at, frontier
from bench.autoscale.lanes import Cell, Ints, Lanes, grid, lanes
from bench.autoscale.oracle import Planned, kept, oracle
from bench.autoscale.policies.hpa import Hpa
from bench.autoscale.policies.ours import Ours
from bench.autoscale.simulator import Seen, simulate
from bench.autoscale.store import Store
from bench.report import RESULTS

POD = PodModel((1.0, 8.0, 32.0), (10.0, 18.0, 22.0), "made up")
CALM = Cell("constant", 30, 15, "none")


class Fixed:
    """Always so many."""

    every = 15

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas

    def start(self, lanes: Lanes, replicas: Ints) -> None:
        """Nothing to remember."""

    def decide(self, now: int, seen: Seen) -> Ints:
        """Always the same."""
        return np.full(seen.current.size, self.replicas)


def test_a_busy_pod_is_not_a_full_one() -> None:
    """At the rate of single checks the device is busy all the time, with more than half of its capacity
    left.
    """
    assert POD.busy(np.array([5.0, 10.0, 22.0])).tolist() == [0.5, 1.0, 1.0]
    assert POD.rates(POD.in_hand(np.array([4.0, 15.0, 20.0]))) == pytest.approx([4.0, 15.0, 20.0])


def test_profiles_are_read(tmp_path: Path) -> None:
    """What `ostiary model profile --json` prints, and what the engine's benchmark has measured."""
    path = tmp_path / "profile.json"
    points = [
        {"concurrency": level, "describe": described, "checks_per_second": rate}
        for level, described, rate in ((1, False, 9.0), (1, True, 4.0), (8, True, 7.0), (32, True, 6.5))
    ]
    path.write_text(json.dumps({"capacity": {"points": points}}), "utf-8")
    assert from_profile(path).rate == (4.0, 7.0)
    assert from_engine_bench().best > from_engine_bench().alone > 0.0


@pytest.mark.parametrize("name", traces.SHAPES)
def test_traces_come_from_seeds(name: str) -> None:
    """The same seed is the same day, another is another; rates are what a dozen pods can do, and never
    negative.
    """
    again, other = traces.made(name, 1, 1200), traces.made(name, 2, 1200)
    assert (traces.made(name, 1, 1200) == again).all()
    assert (other != again).any()
    assert 30.0 < again.mean() < 400.0
    assert again.min() >= 0.0


def test_public_traces_are_read(tmp_path: Path) -> None:
    """Azure's timestamps with seven decimals, BurstGPT's seconds: arrivals by the second."""
    azure, burst = tmp_path / "azure.csv", tmp_path / "burst.csv"
    azure.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n"
        "2023-11-16 18:17:04.0319600,3180,8\n2023-11-16 18:17:06.5000000,110,27\n"
    )
    burst.write_text("Timestamp,Model,Request tokens\n5,ChatGPT,472\n5.4,GPT-4,10\n9,ChatGPT,3\n")
    assert traces.azure_llm(azure).tolist() == [2.0, 0.0, 1.0]
    assert traces.burst_gpt(burst).tolist() == [2.0, 0.0, 0.0, 0.0, 1.0]
    assert traces.scaled(traces.burst_gpt(burst), 100.0, 1).mean() == pytest.approx(100.0, rel=0.3)
    with pytest.raises(traces.BadTrace, match=r"burst.csv:1: no column TIMESTAMP"):
        traces.azure_llm(burst)
    burst.write_text("Timestamp\n1\nnoon\n")
    with pytest.raises(traces.BadTrace, match=r"burst.csv:3: Timestamp"):
        traces.burst_gpt(burst)


def test_the_grid_is_whole() -> None:
    """Six traces, four cold starts, three lags, four faults."""
    assert len(set(grid(quick=False))) == 6 * 4 * 3 * 4
    assert set(grid(quick=True)) < set(grid(quick=False))


@pytest.mark.parametrize(("pods", "least", "most"), [(4, 0.0, 0.5), (6, 0.999, 1.0), (12, 1.0, 1.0)])
def test_pods_that_suffice_attain(pods: int, least: float, most: float) -> None:
    """110 checks/s are too many for four pods of 22/s, and fine for six: queues grow, and are cut by
    refusals.
    """
    outcome = simulate(lanes([CALM], [1], 1200), POD, Fixed(pods))
    assert least <= outcome.attainment[0] <= most
    assert (outcome.shed[0] > 0.0) == (pods == 4)
    assert outcome.flips[0] == 0.0
    assert outcome.pod_seconds[0] == pods * 900


def test_pods_come_a_cold_start_late_and_cost_from_the_start() -> None:
    """Loading pods take no checks and are paid for."""
    quick, slow = (lanes([Cell("constant", cold, 1, "none")], [1], 1200) for cold in (5, 300))
    first = np.array([3])
    fast, late = (simulate(given, POD, Fixed(6), first) for given in (quick, slow))
    assert fast.pod_seconds == late.pod_seconds
    assert fast.attainment[0] > 0.999 > late.attainment[0]


@pytest.mark.parametrize("fault", ["bad pod", "rollout"])
def test_faults_cost_capacity(fault: str) -> None:
    """What was just enough is not, while a pod hangs or a quarter is out."""
    tight = PodModel((1.0, 8.0, 32.0), (10.0, 16.0, 19.0), "made up")
    good = simulate(lanes([CALM], [1], 1200), tight, Fixed(6))
    hurt = simulate(lanes([Cell("constant", 30, 15, fault)], [1], 1200), tight, Fixed(6))
    assert hurt.attainment[0] < good.attainment[0]


def test_lost_scrapes_leave_the_last_sample() -> None:
    """Metrics get older, never newer, than they were."""
    good = lanes([Cell("constant", 30, 15, "scrape loss")], [1], 1200).good[:, 0]
    age = np.arange(1200) - good
    assert age.min() == 0
    assert age.max() >= 120
    assert (np.diff(good) >= 0).all()


def test_the_oracle_bears_the_same_cold_start_and_attains() -> None:
    """A plan keeps a pod through pauses shorter than its cold start, and asks for it a cold start ahead."""
    plan = np.array([[2], [5], [2], [2], [5], [2], [2], [2], [2], [2], [5], [2]])
    assert kept(plan, np.array([3]))[:, 0].tolist() == [2, 5, 5, 5, 5, 2, 2, 2, 2, 2, 5, 2]
    asked = Planned(plan, np.array([1]))
    assert [int(asked.decide(now, None)[0]) for now in range(4)] == [5, 5, 2, 5]  # type: ignore[arg-type]
    cells = [Cell(trace, 120, 15, "none") for trace in traces.SHAPES]
    found = oracle(lanes(cells, [3], 1500), POD)
    assert (found.attainment >= 0.999).all()


def test_ours_and_hpa_follow_demand() -> None:
    """On a ramp both attain much more than the first minute's pods would; ours with fewer pods than the
    plain HPA, whose utilisation is a duty cycle.
    """
    given = lanes([Cell("ramp", 5, 1, "none")], [1], 1800)
    still = simulate(given, POD, Fixed(4))
    ours, plain = simulate(given, POD, Ours(0.8, POD)), simulate(given, POD, Hpa(0.6))
    assert min(ours.attainment[0], plain.attainment[0]) > still.attainment[0] + 0.1
    assert ours.attainment[0] > 0.99
    assert ours.pod_seconds[0] < 0.8 * plain.pod_seconds[0]


CHEAP, GOOD, DEAR = Point(0.9, 1.0), Point(0.99, 1.2), Point(1.0, 3.0)


def test_curves_are_compared_at_equal_attainment() -> None:
    """Between two settings their cheapest mixture counts; what is dominated does not."""
    worse = Point(0.95, 2.5)
    assert frontier([worse, DEAR, GOOD, CHEAP]) == [CHEAP, GOOD, DEAR]
    assert cost_at([CHEAP, GOOD], 0.945) == pytest.approx(1.1)
    assert cost_at([CHEAP], 0.99) is None
    assert cost_at([DEAR], 0.5) == 3.0


@pytest.mark.parametrize(
    ("one", "other", "wins"),
    [
        ([GOOD], [Point(0.99, 1.3)], True),
        ([GOOD], [Point(0.99, 1.2)], False),
        ([GOOD], [CHEAP], True),
        ([CHEAP], [GOOD], False),
        ([DEAR], [Point(0.9995, 2.0)], False),
    ],
    ids=[
        "cheaper",
        "alike",
        "the other does not get there",
        "nor do we",
        "more than the goal is worth nothing",
    ],
)
def test_who_is_cheaper(one: list[Point], other: list[Point], wins: bool) -> None:
    """At 99.9%, or at what the better of the two reaches: who cannot reach it loses."""
    assert cheaper(one, other) is wins


def test_a_small_run_fills_tables_and_plot(tmp_path: Path) -> None:
    """Every policy tuned and swept over one cell; a second run takes everything from the store."""
    store = Store(tmp_path / "kept")
    cells = [Cell("constant", 5, 1, "none")]
    arms = [
        replace(arm, knobs=arm.knobs[1:5:3], tight=arm.tight[:1], settings=arm.settings[:1], least=(8,))
        for arm in ARMS
    ]
    results = command.Bench(cells, (1,), POD, store, arms, 900).run()
    assert [row["policy"] for row in summary.policy_rows(results)] == list(results.policies)
    assert summary.cell_rows(results)[0]["ours"] < 2.5
    assert all(
        row["cells"] == row["ours cheaper"] + row["rival cheaper"] + row["alike"]
        for row in summary.duel_rows(results)
    )
    assert len(summary.bars(results)) == 3
    plot.draw(results, tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text("utf-8").count("<polyline") == len(results.policies)
    corners = re.findall(r"(?:cx|cy)=\"(-?[0-9.]+)\"", (tmp_path / "curves.svg").read_text("utf-8"))
    assert corners
    assert all(0.0 <= float(one) <= 320.0 for one in corners[::2])
    assert all(0.0 <= float(one) <= 220.0 for one in corners[1::2]), "curves lie within their panels"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    assert command.Bench(cells, (1,), POD, store, arms, 900).run().policies == results.policies
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == before


def test_the_page_shows_the_committed_results(tmp_path: Path) -> None:
    """Figures in docs/autoscaling.md are those of bench/results, and nobody edited them by hand."""
    page = tmp_path / "autoscaling.md"
    page.write_text(command.AUTOSCALING_PAGE.read_text("utf-8"), "utf-8")
    performance.rewrite(page, RESULTS, names=("autoscale",))
    assert page.read_text("utf-8") == command.AUTOSCALING_PAGE.read_text("utf-8")
