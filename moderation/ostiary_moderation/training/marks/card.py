"""The card that lies beside the networks: what made them, and what they were fitted on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def card(facts: Mapping[str, Any]) -> str:
    """From what a run and its fit say."""
    recalls = "\n".join(
        f"| {int(count):,} | {recall:.2f} |" for count, recall in facts["fitted"]["recall"].items()
    )
    return _CARD.format_map({**facts, "precision": facts["fitted"]["precision"], "recalls": recalls})


_CARD = """# Figurative marks {version}

Two networks and a matrix that find marks without letters by their shape, for brands that were never learnt:
`places.onnx` says where a mark may be, `inks.onnx` which pixels are its, `shapes.npz` turns a shape into a
direction and holds the directions of what is seen where no mark is, `scoring.json` says what a match is
worth.

Made by `{command}`:
{minutes} minutes of learning (bounded by time, so that a rerun gives what the machine has time for, not the
same bytes) from {scenes:,} scenes and {close_ups:,} close-ups, made of {train_marks:,} icons laid over
{train_photos:,} photographs.

The score is fitted, and the threshold chosen ({threshold}, from which on {precision:.0%} are right), on
brands and photographs of senders that nothing was learnt from. On those:

| Registered marks | Recall from the threshold on |
|---|---|
{recalls}

Figures on yet other brands and senders: `make bench-detectors PARTS=figurative`, and docs/logos.md.

## What it cannot see
Marks whose longer side has less than about 30 pixels once the image is shrunk to 448; marks turned by more
than about 25 degrees, mirrored, or half hidden; marks that hardly differ from the ground in colour;
embroidery and embossing, of which it has seen none. Prints in training were rendered: real ones may differ.

## Data
Icons: Simple Icons (CC0 1.0; the marks are their owners') and Material Design Icons (Apache-2.0), in groups
of look-alikes, each group in one part only. Photographs: the public clothing dataset (CC0 1.0), split by
sender.
"""
