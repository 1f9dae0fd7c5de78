"""The whole command on a handful of drawn photographs: learns, resumes, and writes a bundle that serves."""

from __future__ import annotations

import asyncio
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ostiary_moderation.bundle import Bundle
from ostiary_moderation.cli.model import app
from ostiary_moderation.engine import Look, LookRequest
from ostiary_moderation.engines import load_engine
from ostiary_moderation.views import make_views


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twenty-four small pictures of twelve senders, with labels."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "label", "kids", "sender"])
        for index in range(24):
            base = rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)
            Image.fromarray(base).resize((150, 200)).save(folder / f"{index}.jpg")
            rows.writerow([f"{index}.jpg", ["dress", "shirt", "hat"][index % 3], index == 4, index % 12])
    with (folder / "colours.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["file", "colour", "pattern"])
        rows.writerows([f"{index}.jpg", ["red", "blue"][index % 2], "animal"] for index in range(24))
    return folder


def test_train_resume_and_serve(photos: Path, tmp_path: Path) -> None:
    """A run of a moment, the same command for a little longer, and a look with what came out."""
    out = tmp_path / "bundle"

    def train(minutes: float) -> dict[str, float]:
        inputs = ["--photos", str(photos), "--colours", str(photos / "colours.csv")]
        limits = ["--minutes", f"{minutes:.6f}", "--threads", "1"]
        result = CliRunner().invoke(app, ["train", *inputs, "--out", str(out), *limits])
        assert result.exit_code == 0, result.output
        state = torch.load(tmp_path / "bundle.training" / "checkpoint.pt", weights_only=True)
        progress: dict[str, float] = state["progress"]
        return progress

    first = train(0.001)
    assert first["step"] == 1
    weights = Bundle.load(out).weights_digest
    again = train(first["seconds"] / 60 + 0.001)
    assert again["step"] == 2
    bundle = Bundle.load(out)
    assert bundle.weights_digest != weights
    figures = json.loads((out / "evaluation.json").read_text("utf-8"))
    assert set(figures["policies"]["prohibited_ads"]["questions"]) == {"qr_code", "contact_details"}
    assert set(figures["attributes"]) == {"category", "colour", "pattern", "audience"}
    assert figures["command"] in (out / "MODEL_CARD.md").read_text("utf-8")
    look = asyncio.run(_look(bundle))
    assert len(look.scores) == 2


async def _look(bundle: Bundle) -> Look:
    engine = load_engine(bundle, threads=1)
    try:
        views = make_views(np.zeros((200, 150, 3), np.uint8), engine.view_spec)
        return await engine.look(LookRequest([views]))
    finally:
        await engine.close()


def test_a_stopped_run_is_saved(photos: Path, tmp_path: Path) -> None:
    """SIGTERM ends it as Ctrl-C does: with a word on how to go on."""
    out = tmp_path / "bundle"
    code = "from ostiary_moderation.cli.model import app; app()"
    inputs = ["--photos", str(photos), "--colours", str(photos / "colours.csv"), "--out", str(out)]
    command = [sys.executable, "-c", code, "train", *inputs, "--minutes", "60", "--threads", "1"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "bundle.training").exists() and run.poll() is None:
        time.sleep(0.1)
    run.terminate()
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "the same command goes on" in said


def test_a_folder_without_labels_is_an_error_in_words(tmp_path: Path) -> None:
    """Exit code 1, and what is missing."""
    paths = ["--photos", str(tmp_path), "--colours", str(tmp_path / "c.csv"), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["train", *paths])
    assert result.exit_code == 1
    assert "labels.csv" in result.output
