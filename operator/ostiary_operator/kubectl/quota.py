"""Whether GPUs that a rollout takes at most are within the namespace's quotas. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class QuotaFit:
    """One quota's GPUs: `others`: what is used beside this rollout."""

    name: str
    hard: int
    others: int
    peak: int

    @property
    def fits(self) -> bool:
        """Whether the rollout gets all its GPUs."""
        return self.others + self.peak <= self.hard

    def __str__(self) -> str:
        short = self.others + self.peak - self.hard
        verdict = "fits" if self.fits else f"does not fit, {short} GPUs short"
        used = f"{self.others} used by others, {self.peak} at most"
        return f"quota {self.name}: {self.hard} GPUs, {used}: {verdict}"


def fits(quotas: Iterable[Json], resource: str, now: int, peak: int) -> list[QuotaFit]:
    """Each quota that limits the resource; `now`: what the rollout uses of it already."""
    found = []
    for quota in quotas:
        status, spec = quota.get("status") or {}, quota.get("spec") or {}
        for key in (f"requests.{resource}", resource):
            hard = (status.get("hard") or spec.get("hard") or {}).get(key)
            if hard is not None:
                used = _whole((status.get("used") or {}).get(key, 0))
                others = max(0, used - now)
                found.append(QuotaFit(str(quota["metadata"]["name"]), _whole(hard), others, peak))
                break
    return found


def _whole(quantity: object) -> int:
    """GPUs come in whole numbers; Kubernetes may write them as `2k`."""
    text = str(quantity)
    return int(text[:-1]) * 1000 if text.endswith("k") else int(text)
