"""What the gateway counts of judged checks."""

import pytest
import yaml
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from gateway.site import Site
from ostiary.v1.decision_pb2 import Action, Finding, Verdict
from ostiary.v1.image_pb2 import Image
from ostiary.v1.moderation_pb2 import CheckRequest
from ostiary_gateway.judgement import Judgement
from ostiary_gateway.metrics import MOST_CATEGORIES, GatewayMetrics
from ostiary_gateway.policy.decide import Decision


def counted(name: str, reader: InMemoryMetricReader) -> dict[tuple[str, ...], int]:
    """A counter's values, by those of its attributes in the order of their names."""
    data = reader.get_metrics_data()
    assert data is not None
    found = {}
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        if metric.name == name:
            for point in metric.data.data_points:
                attributes = dict(point.attributes or {})
                found[tuple(str(attributes[key]) for key in sorted(attributes))] = point.value  # type: ignore[union-attr]
    return found


def test_a_flag_asks_for_a_person_or_a_block() -> None:
    """Notes are none; a label counts once a check, however often it was found."""
    actions = {"seen": Action.ACTION_NOTE, "qr_code": Action.ACTION_REVIEW, "nudity": Action.ACTION_BLOCK}
    findings = tuple(Finding(label=label, action=action) for label, action in actions.items())
    decision = Decision(Verdict.VERDICT_BLOCK, findings * 2)
    assert Judgement.of(decision, "shirts").flagged == {"qr_code", "nudity"}


def test_categories_are_bounded() -> None:
    """Sellers name them: those beyond the first hundred are one."""
    reader = InMemoryMetricReader()
    counts = GatewayMetrics(MeterProvider([reader]).get_meter("test"))
    for number in range(MOST_CATEGORIES + 5):
        for _ in range(2):
            judgement = Judgement(Verdict.VERDICT_REVIEW, frozenset({"qr_code"}), f"c-{number}")
            counts.judged(judgement, "v1", 0.1)
    listings = counted("moderation.listings", reader)
    assert len(listings) == MOST_CATEGORIES + 1
    assert listings["c-0", "v1"] == 2
    assert listings["other", "v1"] == 10
    assert counted("moderation.flags", reader)["other", "qr_code", "v1"] == 10


@pytest.mark.parametrize("there", [True, False], ids=["judged by a pod", "without a pod"])
async def test_checks_of_an_arm_are_counted_apart(
    site: Site, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """By the pin that holds for the caller, whatever comes of the check; others' have no arm."""
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader]).get_meter("test")
    monkeypatch.setattr(metrics, "get_meter", lambda *_, **__: meter)
    if not there:
        site.route(["127.0.0.1:1"])
    written = yaml.safe_load((site.folder / "route.yaml").read_text("utf-8"))
    site.write("route.yaml", written | {"pins": [{"tenant": "demo", "version": "local", "arm": "control"}]})
    async with site.start() as running:
        for who in ("pipeline", "pipeline", "stranger"):
            await running.as_(who).Check(CheckRequest(images=[Image(data=b"image")]), timeout=10)
    verdict = "ALLOW" if there else "HOLD"
    assert counted("moderation.checks", reader) == {("control", verdict, "local"): 2, (verdict, "local"): 1}
    assert set(counted("moderation.listings", reader)) == {("control", "", "local"), ("", "local")}
