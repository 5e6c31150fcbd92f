"""Autoscalers for tests, and a pool whose target is decided again and again."""

from __future__ import annotations

from typing import Any

from agentcorps.api.scaling import Scaling
from agentcorps.core.autoscaling.decision import Decision, decide
from agentcorps.core.autoscaling.history import begin
from agentcorps.core.autoscaling.load import Load
from agentcorps.core.records import Now

EPOCH = 1_800_000_000.0
AT_ONCE: dict[str, Any] = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 10_000, "periodSeconds": 1}]},
    "scaleDown": {"stabilizationWindowSeconds": 0},
}
PROMETHEUS: dict[str, Any] = {
    "type": "Prometheus",
    "serverAddress": "https://prom:9090",
    "query": "sum(jobs)",
    "target": {"type": "Value", "value": 100},
}
CALM = {"stableWindowSeconds": 0}


def scaling(**spec: Any) -> Scaling:
    """Return a `spec.scaling`."""
    return Scaling.model_validate({"maxReplicas": 1000, **spec}, by_alias=True, by_name=False)


def metric_policy(**fields: Any) -> dict[str, Any]:
    """Return a policy of type Prometheus."""
    return {**PROMETHEUS, **fields}


class Pool:
    """A pool whose target is decided again and again."""

    def __init__(self, current: int = 0, **spec: Any) -> None:
        self.scaling = scaling(**spec)
        self.seconds = 1000.0
        self.history = begin(current, self.now)

    @property
    def now(self) -> Now:
        """This instant."""
        return Now(self.seconds, EPOCH + self.seconds)

    def decide(self, queued: int = 0, after: float = 0.0, **load: Any) -> Decision:
        """Let time pass, and decide."""
        self.seconds += after
        load.setdefault("ready", self.history.target)
        decision, self.history = decide(
            self.scaling, Load(queued=queued, **load), self.history, self.now
        )
        return decision

    def target(self, queued: int = 0, after: float = 0.0, **load: Any) -> int:
        """Let time pass, and return the target."""
        return self.decide(queued, after, **load).target
