"""docs/telemetry.md lists the metrics that there are, all of them, by the names that Prometheus sees."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from ostiary.v1.decision_pb2 import Verdict
from ostiary.v1.observation_pb2 import StageTiming
from ostiary.wire.errors import Reason
from ostiary.wire.reloads import Reloads
from ostiary.wire.telemetry.rpc import duration_histogram
from ostiary_gateway.admission import AdaptiveAdmission, AdmissionLimits
from ostiary_gateway.judgement import Judgement
from ostiary_gateway.metrics import GatewayMetrics, WatchFailures, watch_kms, watch_staleness
from ostiary_gateway.shadow import Compared, Outcome
from ostiary_moderation.engine import Engine, EngineLoad
from ostiary_moderation.metrics import PodMetrics
from ostiary_moderation.turns import TurnLimits, Turns
from ostiary_operator.cluster.metrics import KeeperMetrics
from ostiary_operator.cluster.mirror import Mirror
from ostiary_operator.rollout.actions import Scale

PAGE = Path(__file__).parents[2] / "docs/telemetry.md"
ROW = re.compile(r"^\| `([a-z_.]+)` \| `([a-z_]+)` \| (.*?) \|", re.MULTILINE)
BY_ITSELF = {"target", "otel_scope_name", "otel_scope_version", "otel_scope_schema_url", "le"}


class IdleEngine:
    """An engine without work; what it counts is all that is asked of it."""

    def load(self) -> EngineLoad:
        return EngineLoad(0, 0, 0)


def exposed(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Metric → labels, in the exposition of a process that is all three and has measured everything."""
    registry = CollectorRegistry()
    provider = MeterProvider([PrometheusMetricReader(registry=registry)])
    meter = provider.get_meter("test")
    monkeypatch.setattr(metrics, "get_meter", lambda *_, **__: meter)
    outcome = {"rpc.method": "s/M", "rpc.response.status_code": "UNKNOWN", "error.type": "UNKNOWN"}
    for side in ("server", "client"):
        duration_histogram(meter, side).record(0.1, outcome)
    gateway = GatewayMetrics(meter)
    gateway.refused(Reason.OVERLOADED)
    gateway.compared(Compared("v1", Outcome.DIFFERS, "shirts", frozenset({"qr_code"})))
    gateway.judged(Judgement(Verdict.VERDICT_BLOCK, frozenset({"qr_code"}), "shirts"), "v1", 0.1, "control")
    gateway.watch(AdaptiveAdmission(AdmissionLimits()))
    Reloads("policy.yaml").rejected()
    WatchFailures(meter).failed("trafficroutes")
    watch_staleness(meter, lambda: {"trafficroutes": 0.0})
    watch_kms(meter, lambda: 0.0)
    keeper, mirror = KeeperMetrics(meter), Mirror()
    keeper.looked("ModelDeployment")("done", 0.1)
    keeper.acted(Scale("v1", 1))
    keeper.watch(mirror, lambda: True)
    pod = PodMetrics(meter)
    pod.looked([StageTiming(stage="decode")])
    pod.watch(Turns(TurnLimits(1, 1, 1)), cast(Engine, IdleEngine()))
    found = {family.name: _labels(family.samples) for family in registry.collect()}
    kinds = {family.name: family.type for family in registry.collect()}
    provider.shutdown()
    return {
        f"{name}_total" if kinds[name] == "counter" else name: labels
        for name, labels in found.items()
        if name not in BY_ITSELF
    }


def _labels(samples: Iterable[object]) -> set[str]:
    return {label for sample in samples for label in sample.labels} - BY_ITSELF  # type: ignore[attr-defined]


def test_the_page_lists_every_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name by name, with their labels."""
    listed, above = {}, ""
    for _, prometheus, attributes in ROW.findall(PAGE.read_text(encoding="utf-8")):
        above = above if attributes == "as above" else attributes
        listed[prometheus] = {name.replace(".", "_") for name in re.findall(r"`([a-z_.]+)`", above)}
    assert listed == exposed(monkeypatch)


def test_names_follow_from_one_another() -> None:
    """The second column is the first by OpenTelemetry's rules."""
    for name, prometheus, _ in ROW.findall(PAGE.read_text(encoding="utf-8")):
        assert prometheus.removesuffix("_total").removesuffix("_seconds") == name.replace(".", "_")


def test_no_label_names_a_tenant_or_a_seller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels are of closed or bounded sets: who asks, and about what, stands in the record."""
    labels = set().union(*exposed(monkeypatch).values())
    closed = {"rpc_method", "rpc_response_status_code", "error_type", "verdict", "version", "outcome", "file"}
    closed |= {"kind", "result", "action", "phase", "arm"}
    assert labels == closed | {"stage", "resource", "label", "category"}
