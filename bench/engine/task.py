"""The work that every arm gets: a bundle folder for our pod, and a task file for the stock arms.

The bundle is a copy of one that is shipped, brought to what all arms can do alike: no detectors, exactly
three policy questions, no second look, a description for every image.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from ostiary_moderation.bundle import MANIFEST, Bundle

QUESTIONS = 3
LANGUAGE = "en"
CATEGORY = "general"
# Asked where a bundle has fewer than three questions of its own.
_MORE = ("Is there a price?", "Is there any text?", "Is there a person?")


@dataclass(frozen=True)
class StockTask:
    """What the stock arms load and ask; `peers/stock.py` says what each field means."""

    folder: str
    dtype: str
    system: str
    questions: list[str]
    describe: str
    description_tokens: int
    answer_tokens: int
    pixels: list[int]
    threads: int
    max_batch: int


def benchmark_bundle(source: str | Path, folder: Path) -> Path:
    """Copy a shipped bundle or a folder to `folder`, brought to what all arms can do alike.

    Raises:
        ValueError: the bundle writes no descriptions, or its copy does not load.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(Bundle.load(source).folder, folder)
    path = folder / MANIFEST
    path.write_text(_dump(_levelled(yaml.safe_load(path.read_text(encoding="utf-8")))), encoding="utf-8")
    Bundle.load(folder)
    return folder


def stock_task(folder: Path, *, threads: int, max_batch: int) -> StockTask:
    """The same work for the stock classes, in the words that our engine renders."""
    manifest = yaml.safe_load((folder / MANIFEST).read_text(encoding="utf-8"))
    prompts, pixels = manifest["prompts"], manifest["pixels"]
    return StockTask(
        folder=str(folder),
        dtype=manifest["dtype"],
        system=_text(prompts["system"]),
        questions=[_text(question["text"]) for question in manifest["questions"]],
        describe=_text(prompts["describe"]),
        description_tokens=manifest["description"]["max_new_tokens"],
        answer_tokens=2,
        pixels=[pixels["min_pixels"], pixels["max_pixels"]],
        threads=threads,
        max_batch=max_batch,
    )


def write_task(task: StockTask, path: Path) -> Path:
    """Write the file that the stock arms read."""
    path.write_text(json.dumps(asdict(task), indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def _levelled(manifest: dict[str, Any]) -> dict[str, Any]:
    if not manifest.get("description"):
        raise ValueError(f"{manifest['name']}: writes no descriptions; the benchmark needs one that does")
    questions = manifest["questions"][:QUESTIONS]
    for number, text in enumerate(_MORE[: QUESTIONS - len(questions)]):
        more = {"id": f"more_{number}", "policy": questions[0]["policy"], "label": questions[0]["label"]}
        questions.append({**more, "text": {CATEGORY: {LANGUAGE: text}}})
    description = {key: value for key, value in manifest["description"].items() if key != "reject"}
    return {
        **manifest,
        "name": f"{manifest['name']}-benchmark",
        "capabilities": sorted({question["policy"] for question in questions}),
        "questions": questions,
        "detectors": [],
        "pixels": {key: manifest["pixels"][key] for key in ("min_pixels", "max_pixels")},
        "description": {**description, "temperature": 0},
    }


def _text(texts: Mapping[str, Any]) -> str:
    """The English text, of the general category where there are categories."""
    found = texts.get(CATEGORY, texts)
    return str(found[LANGUAGE])


def _dump(manifest: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(dict(manifest), sort_keys=False, allow_unicode=True))
