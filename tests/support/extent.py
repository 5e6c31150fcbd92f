"""How far the fault tests go: FAULTS=all takes the sizes of the design, which need their time."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """Sizes of the scenarios that can be had smaller."""

    every_write: bool
    """Crash at each write of a run; otherwise at the first of each kind."""
    outage_seconds: int
    """How long the API server is away."""
    overlap_seconds: int
    """How long two operators are active at a time."""
    peak: int
    """Tasks that wait when the leader dies."""
    burst: int
    """Tasks at once."""
    burst_deletes: int
    """Of them deleted while they wait and run."""


BOUNDED = Extent(
    every_write=False,
    outage_seconds=60,
    overlap_seconds=120,
    peak=100,
    burst=2_000,
    burst_deletes=200,
)
DESIGNED = Extent(
    every_write=True,
    outage_seconds=600,
    overlap_seconds=120,
    peak=1_000,
    burst=10_000,
    burst_deletes=1_000,
)


def chosen(name: str) -> Extent:
    """Return the extent that FAULTS names.

    Raises:
        ValueError: There is none of that name.
    """
    extents = {"": BOUNDED, "all": DESIGNED}
    if name not in extents:
        raise ValueError(f"FAULTS={name}: leave it out, or set it to all")
    return extents[name]


EXTENT = chosen(os.environ.get("FAULTS", ""))
