"""A new policy question is an entry in a bundle, and no code."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import yaml

from ostiary_moderation.bundle import Bundle
from ostiary_moderation.engine import LookRequest
from ostiary_moderation.engines import load_engine
from ostiary_moderation.views import make_views

ENTRY = """
id: torn_packaging
policy: damaged_goods
label: torn_packaging
text:
  general: {en: "Is the packaging torn?", zh: "包装是否破损？"}
calibration:
  slope: 0.5
  intercept: -1.0
  prevalence: 0.1
  table: [{precision: 0.9, threshold: 0.6, recall: 0.5}]
"""


async def test_an_entry_brings_a_calibrated_score(tmp_path: Path) -> None:
    """Of the new question, on the old policies' side, and in the bundle's capabilities."""
    folder = Path(shutil.copytree(Bundle.load("mini").folder, tmp_path / "bundle"))
    manifest = yaml.safe_load((folder / "bundle.yaml").read_text("utf-8"))
    manifest["questions"].append(yaml.safe_load(ENTRY))
    manifest["capabilities"].append("damaged_goods")
    (folder / "bundle.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True), "utf-8")
    bundle = Bundle.load(folder)
    engine = load_engine(bundle, threads=1)
    views = make_views(np.full((300, 300, 3), 128, np.uint8), engine.view_spec)
    look = await engine.look(LookRequest([views], description=False, attributes=False))
    await engine.close()
    score = next(score for score in look.scores if score.question == "torn_packaging")
    assert (score.policy, score.label) == ("damaged_goods", "torn_packaging")
    assert score.probability == bundle.manifest.questions[-1].calibration.probability(score.margin)
    assert "damaged_goods" in bundle.manifest.judged
    assert len(look.scores) == len(Bundle.load("mini").manifest.questions) + 1
