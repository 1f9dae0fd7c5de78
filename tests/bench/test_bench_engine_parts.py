"""The engine benchmark's parts: its work, its images, its processes, and what it makes of the figures."""

import os
import sys
from io import BytesIO
from itertools import islice
from pathlib import Path

import psutil
import pytest
import yaml
from PIL import Image

from bench.engine import environments, summary
from bench.engine.arms import ARMS, named
from bench.engine.images import SIZES, Stream, commented, corpus, exact_images
from bench.engine.load import Answered, LoadRun, Sample
from bench.engine.measure import summarise
from bench.engine.plan import Cell, full, quick
from bench.engine.process import ServerProcess
from bench.engine.task import QUESTIONS, benchmark_bundle, stock_task
from ostiary_moderation.bundle import Bundle

ALONE = Cell("closed", True, 4.0, 2, clients=1)
EIGHT = Cell("closed", True, 4.0, 2, clients=8)
LOADED = Cell("open", True, 4.0, 2, load=0.8)


def test_the_work_is_the_same_for_all(tmp_path: Path) -> None:
    """The bundle asks three questions without detectors or a second look; the stock task asks the same."""
    folder = benchmark_bundle("mini", tmp_path / "bundle")
    manifest = Bundle.load(folder).manifest
    task = stock_task(folder, threads=1, max_batch=8)
    assert len(manifest.questions) == len(task.questions) == QUESTIONS
    assert [question.wording("general", "en") for question in manifest.questions] == task.questions
    assert manifest.detectors == ()
    assert manifest.pixels.closer is None
    assert manifest.description is not None
    assert manifest.description.reject is None
    assert task.description_tokens == manifest.description.max_new_tokens
    assert (task.system, task.dtype) == (manifest.prompts.system_in("en"), manifest.dtype)


def test_a_bundle_that_does_not_describe_is_refused(tmp_path: Path) -> None:
    """Half of the benchmark would measure nothing."""
    folder = benchmark_bundle("mini", tmp_path / "mute")
    manifest = yaml.safe_load((folder / "bundle.yaml").read_text("utf-8"))
    del manifest["description"]
    (folder / "bundle.yaml").write_text(yaml.safe_dump(manifest), "utf-8")
    with pytest.raises(ValueError, match="writes no descriptions"):
        benchmark_bundle(folder, tmp_path / "copy")


def test_images_are_of_mixed_sizes_and_made_once(tmp_path: Path) -> None:
    """Sizes come from the table, and a second call reads the same files."""
    files = corpus(tmp_path, 3, seed=4, photos=None)
    sizes = {Image.open(BytesIO(file)).size for file in files}
    assert sizes <= {size for size, _ in SIZES}
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.jpg")}
    assert corpus(tmp_path, 3, seed=4, photos=None) == files
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/*.jpg")} == made


def test_one_in_twenty_has_twelve_megapixels() -> None:
    """The table of sizes adds up to twenty."""
    assert sum(share for _, share in SIZES) == 20
    assert [share for (width, height), share in SIZES if width * height == 12_000_000] == [1]


def test_a_stream_repeats_the_share_that_it_should() -> None:
    """Without duplicates no file comes twice, though pictures do; with 30% about that many repeat one."""
    picture = exact_images(1, 1, None)[0]
    jpeg = BytesIO()
    Image.open(BytesIO(picture)).save(jpeg, "JPEG")
    unique = list(islice(Stream([jpeg.getvalue()], 1, 0.0), 300))
    assert len(set(unique)) == 300
    assert len({Image.open(BytesIO(file)).tobytes() for file in unique[:5]}) == 1
    repeated = list(islice(Stream([jpeg.getvalue()], 1, 0.3), 1000))
    assert 1 - len(set(repeated)) / 1000 == pytest.approx(0.3, abs=0.05)


def test_a_comment_changes_the_file_and_not_the_picture() -> None:
    """Byte-wise caches miss; what is judged stays."""
    file = BytesIO()
    Image.new("RGB", (8, 8), "teal").save(file, "JPEG")
    changed = commented(file.getvalue(), "another")
    assert changed != file.getvalue()
    assert Image.open(BytesIO(changed)).tobytes() == Image.open(file).tobytes()


BURNER = """
import signal, time
ballast = bytearray(60_000_000)
while time.process_time() < 0.5:
    pass
signal.pause()
"""
STARTER = """
import signal, subprocess, sys
print(subprocess.Popen([sys.executable, sys.argv[1]]).pid, flush=True)
signal.pause()
"""


def test_a_server_is_watched_with_its_children(tmp_path: Path) -> None:
    """CPU seconds and memory of what a server starts count as its own, and nothing is left of either."""
    for name, code in (("burner.py", BURNER), ("starter.py", STARTER)):
        (tmp_path / name).write_text(code, "utf-8")
    command = [sys.executable, str(tmp_path / "starter.py"), str(tmp_path / "burner.py")]
    core, log = sorted(os.sched_getaffinity(0))[:1], tmp_path / "log"
    with ServerProcess(command, cores=core, env={}, log=log) as server:
        while server.usage().cpu < 0.5:
            assert not server.ended, server.end_of_log()
        child = psutil.Process(int(log.read_text("utf-8")))
        assert child.cpu_affinity() == core
        assert server.usage().peak_rss > 60_000_000
    assert not child.is_running()


def test_a_closed_loops_figures() -> None:
    """Rate between completions, goodput within the SLO, latencies of what was measured."""
    answered = [Sample(0.0, 0.0, done, Answered("answered", batch=2)) for done in (1.0, 1.5, 2.0, 2.5)]
    run = LoadRun([*answered, Sample(2.0, 2.0, 2.4, Answered("shed"))], start=1.0, end=3.0)
    result = summarise(EIGHT, run, cpu_seconds=2.0)
    assert result.rate == pytest.approx(2.0)
    assert result.good == pytest.approx(2 / 2.0)  # the third took longer than two seconds
    assert result.shed == pytest.approx(1 / 4)
    assert result.latencies == [1.5, 2.0, 2.5]
    assert (result.cpu_per_check, result.batch) == (0.5, 2.0)


def unit(rate: float, latencies: list[float], *, yes: bool = True, margin: float = 1.0) -> dict[str, object]:
    """Return an arm's document of one repeat, with the three cells."""
    common = {"good": rate, "shed": 0.0, "late": 0.0, "failed": 0.0, "cpu_per_check": 0.1, "batch": None}
    timed = {"latencies": latencies, "pixels": [1, 12][: len(latencies)]}
    cells = [{"cell": cell.name, "rate": rate, **timed, **common} for cell in (ALONE, EIGHT, LOADED)]
    agreement = [{"answers": [yes, False], "description": "A red shirt.", "margins": [margin, -1.0]}]
    return {"cells": cells, "peak_rss_mib": 700, "agreement": agreement}


def test_bars_compare_the_arms_of_one_repeat() -> None:
    """Over the tutorial loop, over the best other server, and the tail under load."""
    units = {
        "tutorial": [unit(2.0, [0.5]), unit(4.0, [0.5])],
        "ray": [unit(4.0, [0.5]), unit(8.0, [0.5])],
        "bentoml": [{"unavailable": "no wheel"}],
        "ours": [unit(10.0, [0.1, 0.2]), unit(20.0, [0.1, 0.2])],
    }
    plan = quick()
    plan = type(plan)(**{**vars(plan), "cells": (ALONE, EIGHT, LOADED)})
    values = {bar.name: bar.value for bar in summary.bars(units, plan)}
    assert values["closed 8, description: × the tutorial loop"] == 5.0
    assert values["closed 8, description: × the best other server"] == 2.5
    assert values["open 0.8×, description: p99 over a lone client's p50"] == 2.0
    assert values["open 0.8×, description: p99 over its own size's, alone"] == 1.0
    rows = summary.rows(units, plan, dict.fromkeys(units, "title"))
    assert {"arm": "bentoml", "title": "title", "not measured": "no wheel"} in rows


def test_an_arm_that_was_not_measured_meets_no_bar() -> None:
    """Without the other side there is no ratio."""
    plan = quick()
    assert all(bar.value is None and not bar.met for bar in summary.bars({"ours": []}, plan))


def test_agreement_is_measured_against_the_tutorial_loop() -> None:
    """Shares of answers and texts that agree, and the largest difference of P(yes)."""
    units = {"tutorial": [unit(1.0, [1.0])], "ours": [unit(1.0, [1.0], yes=False, margin=0.0)]}
    ours = summary.agreement_rows(units)[1]
    assert (ours["answers alike"], ours["descriptions alike"]) == (0.5, 1.0)
    assert ours["largest ΔP(yes)"] == pytest.approx(0.2311, abs=1e-4)


def test_plans_keep_to_their_time() -> None:
    """The cells of six arms leave room for starts, run-ups and drains within 8 and 40 minutes."""
    assert 6 * quick().seconds < 8 * 60 * 0.7
    assert 6 * full().seconds < 40 * 60 * 0.7


def test_arms_are_chosen_by_name() -> None:
    """Unknown names are told, with those that there are."""
    assert [arm.name for arm in named(["ours", "tutorial"])] == ["tutorial", "ours"]
    assert named([]) == list(ARMS)
    with pytest.raises(ValueError, match="no such arm: triton; there are tutorial"):
        named(["triton"])


@pytest.mark.parametrize("name", [arm.environment for arm in ARMS if arm.environment])
def test_peers_run_on_the_same_versions(name: str) -> None:
    """torch and transformers are pinned to what the project itself is tested with."""
    lines = (environments.PEERS / f"requirements-{name}.txt").read_text("utf-8").splitlines()
    constraints = (environments.REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    for package in ("torch", "transformers", "tokenizers", "pillow", "numpy"):
        pin = next(line for line in constraints if line.startswith(f"{package}=="))
        assert pin in lines
