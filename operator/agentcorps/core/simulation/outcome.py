"""What came of a simulation."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.core.records import Key


class Sample(NamedTuple):
    """One pool at one moment."""

    at: float
    target: int
    """What its decider asks for."""
    granted: int
    """What of that the quotas leave to it."""
    agents: int
    """All that exist, starting and draining ones included."""
    ready: int
    """Those that are ready and stay."""
    queued: int
    running: int


@dataclass(slots=True)
class PoolOutcome:
    """What came of one pool. Times are seconds from the beginning."""

    slots: int = 1
    waits: list[float] = field(default_factory=list)
    """How long each Task waited, in the order of their starts."""
    never: int = 0
    """Tasks that were never started."""
    agent_seconds: float = 0.0
    """Of all agents that existed, starting and draining ones included."""
    slot_seconds: float = 0.0
    """Of slots that worked."""
    surplus_seconds: float = 0.0
    """Of agents beyond those that all queued and running Tasks would have kept busy."""
    short_seconds: float = 0.0
    """For how long the quotas left less to the pool than its target."""
    short_of: str = ""
    """What of the quotas it was that did, the last time."""
    preempted: int = 0
    """Agents that were drained at work because another pool's share takes precedence."""
    outlasting: int = 0
    """Tasks that took longer than the drain of their agent may: they would lose their attempt."""
    most_agents: int = 0
    targets: list[tuple[float, int]] = field(default_factory=list)
    """Each change of the target: when, and to what."""
    samples: list[Sample] = field(default_factory=list)

    @property
    def flaps(self) -> int:
        """How often the target turned from rising to falling or back."""
        numbers = [0, *(target for _, target in self.targets)]
        steps = [after - before for before, after in pairwise(numbers)]
        return sum(1 for before, after in pairwise(steps) if before * after < 0)

    def missed(self, seconds: float) -> int:
        """Return how many Tasks waited longer than so long, or for ever."""
        return self.never + sum(1 for wait in self.waits if wait > seconds)


@dataclass(slots=True)
class Outcome:
    """What came of a simulation."""

    pools: Mapping[Key, PoolOutcome]
    ended_at: float = 0.0
    node_seconds: float = 0.0
    most_nodes: int = 0
