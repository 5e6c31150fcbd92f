"""The operator's own ways to say how many agents a pool is to have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.autoscaling.decision import decide
from agentcorps.core.autoscaling.history import begin
from agentcorps.core.simulation.plan import Verdict

if TYPE_CHECKING:
    from agentcorps.api.scaling import Scaling
    from agentcorps.core.autoscaling.history import History
    from agentcorps.core.autoscaling.load import Load
    from agentcorps.core.records import Now, PoolRecord
    from agentcorps.core.simulation.plan import Decider


class Autoscaler:
    """The built-in autoscaler of a pool."""

    def __init__(self, scaling: Scaling) -> None:
        """``scaling`` must be usable (see `schedules.problem`)."""
        self._scaling = scaling
        self._history: History | None = None

    def decide(self, load: Load, now: Now) -> Verdict:
        """Decide as the operator does, with what it remembers."""
        known = begin(load.agents, now) if self._history is None else self._history
        decision, self._history = decide(self._scaling, load, known, now)
        return Verdict(decision.target, decision.due_in)


class Fixed:
    """Always the same number: a pool without an autoscaler."""

    def __init__(self, replicas: int) -> None:
        self._verdict = Verdict(replicas)

    def decide(self, load: Load, now: Now) -> Verdict:  # noqa: ARG002 - any load, at any time
        """Return the number."""
        return self._verdict


def is_scheduled(pool: PoolRecord) -> bool:
    """Tell whether a pool may get agents at some time of the day, whatever there is to do."""
    policies = () if pool.scaling is None else pool.scaling.policies
    return any(policy.schedule is not None for policy in policies)


def decider_of(pool: PoolRecord) -> Decider:
    """Return what decides for a pool in the operator."""
    return Fixed(pool.replicas) if pool.scaling is None else Autoscaler(pool.scaling)
