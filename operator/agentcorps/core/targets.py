"""How many agents each pool is to have: its `spec.replicas`, or what its autoscaler decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentcorps.core.records import PoolRecord


class Targets:
    """What this leader decided for pools that scale themselves, by UID."""

    def __init__(self) -> None:
        self._decided: dict[str, int] = {}

    def decide(self, pool_uid: str, target: int) -> None:
        """From now on the pool is to have so many agents."""
        self._decided[pool_uid] = target

    def forget(self, pool_uid: str) -> None:
        """The pool is gone, or does not scale itself any more."""
        self._decided.pop(pool_uid, None)

    def decided(self, pool: PoolRecord) -> int | None:
        """The target of a pool; None while this leader has not decided on one."""
        return pool.replicas if pool.scaling is None else self._decided.get(pool.uid)

    def of(self, pool: PoolRecord) -> int:
        """The target of a pool: until this leader decides, the one that its status tells."""
        target = self.decided(pool)
        return pool.told_target if target is None else target
