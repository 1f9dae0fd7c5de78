"""Events for people, told once however often they are announced. Pure."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from ostiary_operator.cluster.kinds import MANAGER, MODEL_DEPLOYMENTS, Json, Kind
from ostiary_operator.rollout.actions import Announce


def event(about: Json, said: Announce, now: float, kind: Kind = MODEL_DEPLOYMENTS) -> Json:
    """The Event of an announcement. Its name is the same however often the same is announced of the same
    state, so that a plan that is carried out twice tells it once.
    """
    metadata, status = about["metadata"], about.get("status") or {}
    state = f"{metadata.get('generation')} {status.get('attempt')} {status.get('answered')}"
    words = f"{metadata['uid']}\0{state}\0{said.reason}\0{said.message}"
    digest = hashlib.sha256(words.encode()).hexdigest()[:16]
    at = rfc3339(now)
    return {
        "metadata": {"name": f"{metadata['name'][:200]}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": said.type,
        "reason": said.reason,
        "message": said.message[:1024],
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "reportingInstance": MANAGER,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


def again(event: Json, now: float) -> Json:
    """The change to an Event that is announced once more."""
    return {"count": int(event.get("count") or 1) + 1, "lastTimestamp": rfc3339(now)}


def rfc3339(seconds: float) -> str:
    """A time to the second, as Kubernetes' older kinds have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
