"""What is simulated: pools, their Tasks, and what they live in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agentcorps.core.quota.rules import DEFAULT_RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentcorps.core.autoscaling.load import Load
    from agentcorps.core.quota.rules import SharingRules
    from agentcorps.core.quota_record import QuotaRecord
    from agentcorps.core.records import Now, PoolRecord


class Job(NamedTuple):
    """One Task of a trace."""

    at: float
    """When it is created, in seconds from the beginning."""
    seconds: float
    """How long an agent works on it."""


class Verdict(NamedTuple):
    """How many agents a pool is to have."""

    target: int
    due_in: float | None = None
    """Seconds after which time alone may change it; None when it takes an event."""


class Decider(Protocol):
    """Says again and again how many agents a pool is to have, and may remember what was."""

    def decide(self, load: Load, now: Now) -> Verdict:
        """Decide; time never runs backwards."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """One pool."""

    pool: PoolRecord
    decider: Decider
    jobs: Iterable[Job]
    """Its Tasks, in the order in which they come."""
    start_seconds: float = 10.0
    """From the decision for an agent to its first Task: image, start and hello."""
    stop_seconds: float = 0.0
    """From the last Task of an agent that is to go until its pod is gone."""


@dataclass(frozen=True, slots=True)
class Machines:
    """Nodes that a cluster autoscaler starts when pods do not fit, and ends when they are empty."""

    capacity: Mapping[str, int]
    """What pods may take of each node, in billionths, by resource; what it lacks is unlimited."""
    at_first: int = 1
    """Nodes that are there from the beginning, and stay."""
    at_most: int = 100
    start_seconds: float = 90.0
    idle_seconds: float = 600.0
    """How long a node is empty before it is ended: scale-down-unneeded-time, 10 min by default, of
    https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all pools live in."""

    quotas: tuple[QuotaRecord, ...] = ()
    """Others than these pools use nothing of them."""
    shared: bool = True
    """Quotas are shared out by priority and weight; else who comes first takes what is free."""
    rules: SharingRules = DEFAULT_RULES
    """For how long an agent may keep a place that is another pool's share."""
    machines: Machines | None = None
    """None: every pod finds its place at once."""
    began: float = 0.0
    """Wall time (seconds since the Unix epoch) of the beginning, for schedules."""
    sample_seconds: float = 60.0
    """Time between two entries of the time lines."""
