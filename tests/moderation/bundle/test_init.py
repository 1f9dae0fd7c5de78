"""`ostiary model init`: from a checkpoint to a bundle that serves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ostiary_moderation.bundle import Bundle
from ostiary_moderation.cli.model import app
from ostiary_moderation.engine import ListingText, LookRequest
from ostiary_moderation.engines import load_engine
from ostiary_moderation.views import make_views


def set_config(folder: Path, **text: object) -> None:
    """Changes the language model's configuration."""
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["text_config"].update(text)
    path.write_text(json.dumps(config), "utf-8")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The shipped bundle's weights as a hub would hold them, with a context long enough for the rulebook."""
    folder = Path(shutil.copytree(Bundle.load("mini").folder, tmp_path / "Tiny-VL"))
    for name in ("bundle.yaml", "MODEL_CARD.md", "evaluation.json"):
        (folder / name).unlink(missing_ok=True)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")  # beside the safetensors, as hubs have it
    set_config(folder, max_position_embeddings=32_768)
    # As the published checkpoints have it: a class that needs torchvision, and pixels without measure.
    size = {"longest_edge": 16_777_216, "shortest_edge": 65_536}
    set_processor(folder, image_processor_type="Qwen2VLImageProcessorFast", size=size)
    return folder


def set_processor(folder: Path, **settings: object) -> None:
    """Changes the image processor's settings."""
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **settings}), "utf-8")


def init(*arguments: object) -> tuple[int, str]:
    """Runs the command: exit code, and everything it printed."""
    result = CliRunner().invoke(app, ["init", *map(str, arguments)])
    return result.exit_code, result.output


async def test_a_checkpoint_becomes_a_bundle_that_answers(checkpoint: Path, tmp_path: Path) -> None:
    """Every stock question has a score, every attribute a value, in a listing's language and category."""
    out = tmp_path / "bundles" / "tiny"
    code, output = init(out, "--weights", checkpoint, "--dtype", "float32")
    assert code == 0, output
    bundle = Bundle.load(out)
    assert (bundle.manifest.name, bundle.manifest.dtype) == ("tiny-vl", "float32")
    assert bundle.digest.hex() in output
    assert not (out / "pytorch_model.bin").exists()
    engine = load_engine(bundle, threads=1)
    views = make_views(np.full((300, 200, 3), 90, np.uint8), engine.view_spec)
    request = LookRequest([views], ListingText(category="鞋靴", language="zh"), description=False)
    look = await engine.look(request)
    await engine.close()
    assert {score.question for score in look.scores} == {
        question.id for question in bundle.manifest.questions
    }
    assert all(value.ranking for value in look.attributes)


def test_a_new_bundle_judges_nothing_until_it_is_calibrated(checkpoint: Path, tmp_path: Path) -> None:
    """Scores that no target precision can act on must not count as judged and clean."""
    init(tmp_path / "out", "--weights", checkpoint)
    manifest = Bundle.load(tmp_path / "out").manifest
    assert set(manifest.capabilities) == {"nudity", "logo_infringement", "prohibited_ads"}
    assert manifest.judged == ()


def test_linked_weights_stay_where_they_are(checkpoint: Path, tmp_path: Path) -> None:
    """The bundle points to them, and measures them all the same."""
    code, output = init(tmp_path / "out", "--weights", checkpoint, "--link", "--name", "linked")
    assert code == 0, output
    link = tmp_path / "out" / "model.safetensors"
    assert link.readlink() == checkpoint / "model.safetensors"
    assert Bundle.load(tmp_path / "out").weights_digest == Bundle.load("mini").weights_digest


REFUSALS: dict[str, tuple[Callable[[Path], object], str]] = {
    "another architecture": (
        lambda f: (f / "config.json").write_text('{"model_type": "llava"}'),
        "config.json",
    ),
    "no config": (lambda f: (f / "config.json").unlink(), "config.json: missing"),
    "no safetensors": (lambda f: (f / "model.safetensors").unlink(), "no *.safetensors"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json: missing"),
    "context too short": (lambda f: set_config(f, max_position_embeddings=512), "the context is 512"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_does_not_fit_leaves_nothing_behind(checkpoint: Path, tmp_path: Path, refusal: str) -> None:
    """One line that says what and where, exit code 1, and no half-made folder."""
    damage, words = REFUSALS[refusal]
    damage(checkpoint)
    code, output = init(tmp_path / "out", "--weights", checkpoint)
    assert code == 1
    assert output.startswith("error: ")
    assert words in output
    assert not list(tmp_path.glob("out*"))


def test_a_folder_that_is_there_is_not_written_over(checkpoint: Path, tmp_path: Path) -> None:
    """Somebody's bundle may be in it."""
    (tmp_path / "out").mkdir()
    code, output = init(tmp_path / "out", "--weights", checkpoint)
    assert code == 1
    assert "is there already" in output


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_hub_id_is_looked_up_in_the_local_cache(hub: Path, checkpoint: Path, tmp_path: Path) -> None:
    """As the hub's own client lays it out; nothing is fetched."""
    repository = hub / "models--Someone--Tiny-VL"
    snapshot = repository / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    checkpoint.rename(snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc", "utf-8")
    code, output = init(tmp_path / "out", "--weights", "Someone/Tiny-VL")
    assert code == 0, output
    assert Bundle.load(tmp_path / "out").manifest.name == "tiny-vl"


def test_a_hub_id_that_is_not_there_says_how_to_get_it(hub: Path, tmp_path: Path) -> None:
    """The command that downloads it, for a machine that may."""
    code, output = init(tmp_path / "out", "--weights", "Someone/Nothing-VL")
    assert code == 1
    assert "hf download Someone/Nothing-VL" in output
