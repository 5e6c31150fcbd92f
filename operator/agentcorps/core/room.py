"""What the quotas of its namespace, and its own agents, leave to a pool."""

from __future__ import annotations

from typing import NamedTuple


class Room(NamedTuple):
    """How many agents a pool may have, and create now."""

    wanted: int
    granted: int
    """Agents that it may have: its share."""
    creatable: int
    """Agents that there is place for now, beside all that are there or about to be."""
    short_of: str = ""
    """What the next agent beyond `granted` does not fit in, such as ``pods of ResourceQuota q``;
    empty when it is no quota that limits the pool."""
    preempted: int = 0
    """Agents at work that it is to drain, because another pool's share takes precedence."""
    unstarted: int = 0
    """Its agents that should have started long ago, and have not."""
    unschedulable: int = 0
    """Those of them that the cluster has no node for."""
    held_back: bool = False
    """Whether it asks for fewer agents than it wants, because none of those that it has starts."""
    awaited: int = 0
    """Agents of its share that there is no place for yet."""
    by_quota: bool = True
    """Whether its namespace has a quota."""


def is_limited(room: Room | None) -> bool:
    """Tell whether a pool is kept from what it wants."""
    return room is not None and room.granted < room.wanted
