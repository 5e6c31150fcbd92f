"""What the quotas of its namespace leave to a pool."""

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
    """What the next agent beyond `granted` does not fit in, such as ``pods of ResourceQuota q``."""


def is_limited(room: Room | None) -> bool:
    """Tell whether quotas keep a pool from what it wants."""
    return room is not None and room.granted < room.wanted
