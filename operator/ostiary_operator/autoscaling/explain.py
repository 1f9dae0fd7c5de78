"""A decision in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """A decision's document, as people read it: what was read, what came of it, and what held it back."""
    current, desired = document["current"], document["desired"]
    yield f"{_headline(current, desired)}, from a raw {document['raw']}"
    for metric in document["metrics"]:
        yield f"  {_metric(metric)}"
    for step in document["steps"]:
        yield f"  {step['name']}: {step['before']} → {step['after']}: {step['why']}"
    for condition in document["conditions"]:
        good = condition["status"] == ("False" if condition["type"] == "ScalingLimited" else "True")
        if not good or condition["message"]:
            state = f"{condition['type']}={condition['status']}"
            yield f"  {state} ({condition['reason']}): {condition['message']}"
    if document["victims"]:
        yield f"  goes, least work first: {', '.join(document['victims'])}"


def _headline(current: int, desired: int) -> str:
    if desired > current:
        return f"up from {current} to {desired}"
    return f"down from {current} to {desired}" if desired < current else f"stays at {current}"


def _metric(metric: Mapping[str, Any]) -> str:
    trouble = f" ({metric['trouble']})" if metric["trouble"] else ""
    if metric["value"] is None:
        return f"{metric['name']}: no figure{trouble}"
    unit = (
        " pods' worth now, pods filled to" if metric["name"] == "demand" else " a pod on average, meant to be"
    )
    asks = "no say" if metric["proposal"] is None else f"asks for {metric['proposal']}"
    more = f", {metric['more']}" if metric.get("more") else ""
    return f"{metric['name']}: {metric['value']:.3g}{unit} {metric['target']:g}{more}: {asks}{trouble}"
