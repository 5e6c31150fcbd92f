"""What the number of a pool's agents means to the Tasks that wait for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from agentcorps.api.scaling import LimitedBy

if TYPE_CHECKING:
    from agentcorps.core.records import PoolRecord


class Staffing(NamedTuple):
    """How many agents a pool is to have, and whether more may come."""

    target: int
    scales: bool = False
    """It has an autoscaler of its own."""
    paused: bool = False
    """Its target does not rise, whatever waits."""
    limited_by: str = LimitedBy.NONE.value
    """What its status names as the limit of its target."""

    @property
    def paused_at_zero(self) -> bool:
        """Whether nothing but a change of the pool brings an agent."""
        return self.paused and self.target == 0

    @property
    def short_of_quota(self) -> bool:
        """Whether ResourceQuotas leave it fewer agents than it is to have."""
        return self.limited_by == LimitedBy.QUOTA.value

    @property
    def limit(self) -> str:
        """What keeps more agents from coming, for people; empty if nothing does."""
        if self.paused:
            agents = "agent" if self.target == 1 else "agents"
            return f"scaling of the pool is paused at {self.target} {agents}"
        return _LIMITS.get(self.limited_by, "")


_LIMITS: Final = {
    LimitedBy.MAX_REPLICAS.value: "the pool has as many agents as scaling.maxReplicas allows",
    LimitedBy.BEHAVIOR.value: "more agents come as fast as scaling.behavior.scaleUp allows",
    LimitedBy.QUOTA.value: "the pool has as many agents as its share of the ResourceQuota allows",
    LimitedBy.CAPACITY.value: "pods of the pool wait for a node",
    LimitedBy.STARTUP.value: "more agents come once one of the pool starts",
}


def staffing(pool: PoolRecord, target: int) -> Staffing:
    """Return what a pool's number of agents means to waiting Tasks.

    Args:
        pool: The pool.
        target: How many agents it is to have.
    """
    limited_by, rules = str(pool.status.get("limitedBy", LimitedBy.NONE.value)), pool.scaling
    if rules is None:
        return Staffing(target, limited_by=limited_by)
    paused = rules.paused or rules.paused_scale_out or rules.paused_replicas is not None
    return Staffing(target, scales=True, paused=paused, limited_by=limited_by)
