"""`ostiary model eval`, `calibrate` and `profile`, on a handful of pictures and the shipped bundle."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from ostiary_moderation.bundle import Bundle
from ostiary_moderation.bundle.rewriting import backup_path
from ostiary_moderation.cli.model import app
from ostiary_moderation.evaluation.bounds import Bound, gate_report, held_against

KINDS = ("dress", "shirt", "hat")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four pictures of twelve senders, some with a colour."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "label", "kids", "sender"])
        for index in range(24):
            base = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
            Image.fromarray(base).resize((150, 200)).save(folder / f"{index}.jpg")
            rows.writerow([f"{index}.jpg", KINDS[index % 3], index == 4, index % 12])
    (folder / "colours.csv").write_text("file,colour,pattern\n0.jpg,red,plain\n1.jpg,blue,striped\n", "utf-8")
    return folder


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped bundle, to write into."""
    return Path(shutil.copytree(Bundle.load("mini").folder, tmp_path / "bundle"))


def run(*arguments: object, code: int = 0) -> Any:
    """Runs a command. Returns what it printed for programs, or else its words."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.output


def test_eval_prints_figures_for_programs(photos: Path) -> None:
    """Attributes with intervals, recall and floors; policies with area and error, as a whole and by
    question.
    """
    arguments = ["--photos", photos, "--colours", photos / "colours.csv", "--train-photos", photos]
    report = run("eval", *arguments, "--limit", 10, "--json")
    assert (report["photos"], report["looks"], report["held_out_senders_only"]) == (10, 30, False)
    assert report["bundle"]["digest"] == Bundle.load("mini").digest.hex()
    category = report["attributes"]["category"]
    assert category["top1"]["n"] == 10
    assert category["top1"]["low"] <= category["top1"]["value"] <= category["top3"]["value"]
    assert set(category["recall"]) == set(KINDS)
    assert category["floor_commonest"]["answer"] in KINDS
    assert category["floor_linear_probe"]["n"] == 10
    assert report["attributes"]["colour"]["top1"]["n"] == 1  # of the ten, one has a colour
    policy = report["policies"]["prohibited_ads"]
    assert (policy["positives"], policy["negatives"]) == (10, 10)
    assert set(policy["questions"]) == {"qr_code", "contact_details"}
    for figures in (policy, *policy["questions"].values()):
        assert 0 <= figures["auroc"]["low"] <= figures["auroc"]["value"] <= figures["auroc"]["high"] <= 1
        assert 0 <= figures["ece"] <= 1


@pytest.mark.parametrize(
    ("options", "code", "passed", "words"),
    [
        (["--at-least", "category/top1=0"], 0, True, "category/top1"),
        (["--at-most", "prohibited_ads/ece=1"], 0, True, "prohibited_ads/ece"),
        (["--at-least", "prohibited_ads/qr_code/auroc=0"], 0, True, "at least 0 is asked for"),
        (
            ["--at-least", "category/top3=0", "--at-most", "category/top3=0"],
            3, False, "at most 0 is asked for; category/top3",
        ),
    ],
    ids=["a share", "an error", "a question's", "one of two is not enough"],
)  # fmt: skip
def test_eval_holds_figures_against_bounds(
    photos: Path, tmp_path: Path, options: list[str], code: int, passed: bool, words: str
) -> None:
    """A gate's report fits a termination message, and says what does not hold before what does."""
    report = tmp_path / "report"
    run("eval", "--photos", photos, "--limit", 4, "--report", report, *options, code=code)
    said = json.loads(report.read_bytes())
    assert (said["passed"], said["bundle"]) == (passed, Bundle.load("mini").digest.hex())
    assert words in said["words"]


@pytest.mark.parametrize(
    ("option", "bound", "words"),
    [
        ("--at-least", "category/top1", "--at-least: 'category/top1': FIGURE=NUMBER is expected"),
        ("--at-most", "top1=0.1", "--at-most: 'top1=0.1': FIGURE=NUMBER"),
        ("--at-least", "category/top1=0.1.2", "could not convert string to float"),
        ("--at-least", "nudity/auroc=0.5", "nudity/auroc was not measured: figures are of"),
        ("--at-least", "category/recall/boat=0.5", "category/recall/boat was not measured"),
    ],
)
def test_eval_refuses_bounds_of_nothing(photos: Path, option: str, bound: str, words: str) -> None:
    """What was not measured is neither enough nor too little: exit code 1, and which figures there are."""
    assert words in run("eval", "--photos", photos, "--limit", 4, option, bound, code=1)


def test_a_long_report_keeps_what_does_not_hold() -> None:
    """4,096 bytes are all that Kubernetes carries."""
    figure = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    names = [f"attribute-number-{index}" for index in range(100)]
    document = {
        "attributes": {name: {"top1": figure} for name in names}, "policies": {},
        "bundle": {"digest": "0" * 64}, "photos": 100,
    }  # fmt: skip
    bounds = [Bound(f"{name}/top1", 0.4, least=True) for name in names]
    bounds.append(Bound("attribute-number-7/top1", 0.6, least=True))
    text = gate_report(document, held_against(document, bounds))
    assert len(text.encode()) <= 4096
    assert json.loads(text)["words"].startswith(
        "attribute-number-7/top1 0.500 [0.400, 0.600] of 100, at least"
    )


def test_eval_prints_tables_for_people(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured on how much, with progress kept apart."""
    monkeypatch.setenv("COLUMNS", "120")
    output = run("eval", "--photos", photos, "--limit", 4)
    for words in (
        "4 photographs",
        "Attributes",
        "Policies",
        "prohibited_ads",
        "Recall by category",
        "12 of 12",
    ):
        assert words in output


@pytest.mark.parametrize("again", [("--seed", 0), ("--seed", 0, "--concurrency", 1)])
def test_the_same_seed_gives_the_same_figures(photos: Path, again: tuple[object, ...]) -> None:
    """However many are looked at side by side."""
    first = run("eval", "--photos", photos, "--limit", 6, "--json")
    second = run("eval", "--photos", photos, "--limit", 6, *again, "--json")
    for report in (first, second):
        report.pop("seconds")
    assert first == second


REFUSALS: dict[str, tuple[list[object], str]] = {
    "no such bundle": (["--bundle", "nothing"], "no such bundle folder"),
    "colours that are not there": (["--colours", "none.csv"], "none.csv: missing"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_eval_refuses_in_words(photos: Path, refusal: str) -> None:
    """One line and exit code 1."""
    arguments, words = REFUSALS[refusal]
    output = run("eval", "--photos", photos, *arguments, code=1)
    assert output.startswith("error: ")
    assert words in output


def test_eval_on_held_out_senders_takes_the_bundles_word(photos: Path, copied: Path) -> None:
    """Only their photographs are looked at."""
    (copied / "evaluation.json").write_text(json.dumps({"held_out_senders": ["3", "5"]}), "utf-8")
    report = run("eval", "--bundle", copied, "--photos", photos, "--senders", "held-out", "--json")
    assert (report["photos"], report["senders"], report["held_out_senders_only"]) == (4, 2, True)


def test_calibrate_writes_what_it_fitted(photos: Path, copied: Path) -> None:
    """Into the manifest, with another digest; the old manifest lies beside the folder; the rest is
    untouched.
    """
    before = Bundle.load(copied)
    old = (copied / "bundle.yaml").read_text("utf-8")
    facts = run("calibrate", copied, "--photos", photos, "--prevalence", 0.2, "--rounds", 3, "--json")
    after = Bundle.load(copied)
    fitted = {question.id: question.calibration for question in after.manifest.questions}
    assert {name: fit.model_dump(mode="json") for name, fit in fitted.items()} == facts["calibrations"]
    assert {fit.prevalence for fit in fitted.values()} == {0.2}
    assert (facts["digest_before"], facts["digest"]) == (before.digest.hex(), after.digest.hex())
    assert facts["digest_before"] != facts["digest"]
    assert after.weights_digest == before.weights_digest
    assert backup_path(after).read_text("utf-8") == old
    assert after.manifest.prompts == before.manifest.prompts


def test_calibrate_fits_attributes_where_enough_is_labelled(photos: Path, copied: Path) -> None:
    """Five looks at each of twenty-four labelled pictures; colours only where a file names them."""
    facts = run("calibrate", copied, "--photos", photos, "--rounds", 5, "--json")
    assert set(facts["attributes"]) == {"category", "audience"}
    manifest = Bundle.load(copied).manifest
    written = {
        name: manifest.attribute_calibration[name].model_dump(mode="json") for name in facts["attributes"]
    }
    assert written == facts["attributes"]
    assert set(facts["attributes"]["category"]["biases"]) == set(manifest.attributes["category"])
    colours = [f"{index}.jpg,{'red' if index % 2 else 'blue'}" for index in range(24)]
    (photos / "more.csv").write_text("\n".join(["file,colour", *colours]) + "\n", "utf-8")
    arguments = ["--photos", photos, "--colours", photos / "more.csv", "--rounds", 5, "--dry-run"]
    assert "colour: slope" in run("calibrate", copied, *arguments)


def test_calibrate_from_a_table_of_answers(photos: Path, copied: Path) -> None:
    """For what cannot be drawn: images, questions and labels of one's own. Dry, it writes nothing."""
    path = photos / "answers.csv"
    lines = [f"{index}.jpg,qr_code,{'yes' if index % 2 else 'no'}" for index in range(24)]
    path.write_text("\n".join(["file,question,label", *lines]) + "\n", "utf-8")
    before = Bundle.load(copied).digest
    output = run("calibrate", copied, "--answers", path, code=1)
    assert "20 examples of yes" in output
    lines += [f"{index}.jpg,contact_details,{'no' if index % 2 else 'yes'}" for index in range(24)]
    doubled = [line.replace(".jpg", "b.jpg") for line in lines]
    for index in range(24):
        shutil.copy(photos / f"{index}.jpg", photos / f"{index}b.jpg")
    path.write_text("\n".join(["file,question,label", *lines, *doubled]) + "\n", "utf-8")
    output = run("calibrate", copied, "--answers", path, "--dry-run")
    assert "qr_code: slope" in output
    assert "nothing written" in output
    assert Bundle.load(copied).digest == before


def test_calibrate_wants_one_source(copied: Path, photos: Path) -> None:
    """Photographs or answers."""
    assert "either --photos or --answers" in run("calibrate", copied, code=1)
    path = photos / "odd.csv"
    path.write_text("file,question,label\n0.jpg,qr_kode,yes\n", "utf-8")
    assert "qr_kode" in run("calibrate", copied, "--answers", path, code=1)


def test_profile_measures_and_stores(copied: Path) -> None:
    """Load time, memory, speed at every concurrency; stored, it is part of the bundle and of `inspect`."""
    facts = run("profile", copied, "--seconds", 0.1, "--no-tune", "--write", "--json")
    points = facts["capacity"]["points"]
    assert [(point["concurrency"], point["describe"]) for point in points] == [
        (concurrency, describe) for describe in (False, True) for concurrency in (1, 8, 32)
    ]
    assert all(point["checks_per_second"] > 0 and point["p50_ms"] <= point["p95_ms"] for point in points)
    assert facts["capacity"]["rss_mb"] > 50
    bundle = Bundle.load(copied)
    assert bundle.digest.hex() == facts["digest"]
    assert bundle.manifest.capacity is not None
    assert bundle.manifest.capacity.model_dump(mode="json") == facts["capacity"]
    assert "checks/s" in run("inspect", copied)


def test_profile_climbs_until_it_does_not_pay(copied: Path) -> None:
    """The batching that it chooses is on the ladder and in the manifest; a limit that nothing meets stops
    it.
    """
    from ostiary_moderation.profiling import LADDER

    manifest = yaml.safe_load((copied / "bundle.yaml").read_text("utf-8"))
    manifest["questions"][0]["text"]["general"]["en"] = "Is there a QR code? " * 200
    (copied / "bundle.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True), "utf-8")
    output = run("profile", copied, "--seconds", 0.1, "--p95-ms", 0.001, "--write")
    manifest = yaml.safe_load((copied / "bundle.yaml").read_text("utf-8"))
    assert manifest["batching"] == LADDER[1].model_dump()  # the first is too small for that question
    assert "written; the digest is now" in output
