"""W5: three pools weighted 1:2:4 over one quota, whose demand flips."""

import time
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from support import objects
from support.pod_counts import PodCounts
from support.poll import until
from support.raw_api import RawApi
from support.stage import POOLS
from support.water_fill import Thirst, water_fill

WEIGHTS: Mapping[str, int] = {"small": 1, "middle": 2, "large": 4}
QUOTAS = "/api/v1/namespaces/{}/resourcequotas"
TOLERANCE = Fraction(5, 100)
LOOK_SECONDS = 10.0
"""After a flip: by then all are to be where they belong."""

STILL_SECONDS = 2.0


class Flip(NamedTuple):
    """One pool's demand changes, to a share of the quota."""

    pool: str
    wanted: Fraction


FLIPS = (
    Flip("large", Fraction(1, 14)),
    Flip("large", Fraction(1)),
    Flip("middle", Fraction(1, 14)),
    Flip("middle", Fraction(1)),
)
"""What one does not want is lent to the others, and then it wants it back; twice."""


class Verdict(NamedTuple):
    """What was seen after a flip."""

    distance: float
    """Of the pool that was the furthest from its exact share after ``LOOK_SECONDS``, as a part of
    that share."""
    seconds: float | None
    """Until all were within the tolerance for good; None if they never were."""
    jain: float
    """Jain's index of what each pool had of its share after ``LOOK_SECONDS``: 1 is fair."""
    turns: int
    """Changes of direction, of any pool."""


class Contest:
    """The pools, their quota, and what they should have of it."""

    def __init__(self, api: RawApi, namespace: str, size: int, counts: PodCounts) -> None:
        """Prepare; ``begin`` creates quota and pools."""
        self._api = api
        self._namespace = namespace
        self._size = size
        self._counts = counts
        self._wanted = dict.fromkeys(WEIGHTS, size)

    def quota(self) -> None:
        """Create the quota, and wait until it is enforced."""
        path = QUOTAS.format(self._namespace)
        body = {"metadata": {"name": "contest"}, "spec": {"hard": {"pods": str(self._size)}}}
        self._api.post(path, body)
        until(lambda: "used" in self._api.get(f"{path}/contest").get("status", {}), "quota")

    def pools(self, **pod: Any) -> None:
        """Create the pools; each wants all of the quota.

        Args:
            pod: More fields of their pods' spec.
        """
        template = objects.pod_template()
        template["spec"] |= pod
        # Nobody says hello here: this is about pods.
        spec = {"podTemplate": template, "health": {"startupSeconds": 86400}}
        for name, weight in WEIGHTS.items():
            pool = objects.pool(name, spec, replicas=self._size, quota={"weight": weight})
            self._api.post(POOLS.format(self._namespace), pool)

    def flip(self, flip: Flip) -> float:
        """Change a pool's demand; returns when (monotonic)."""
        self._wanted[flip.pool] = int(flip.wanted * self._size)
        path = f"{POOLS.format(self._namespace)}/{flip.pool}"
        self._api.patch(path, {"spec": {"replicas": self._wanted[flip.pool]}})
        return time.monotonic()

    def exact(self) -> dict[str, Fraction]:
        """Return what each pool should have."""
        pools = {name: Thirst(self._wanted[name], weight) for name, weight in WEIGHTS.items()}
        return water_fill(pools, self._size)

    def settled(self, counts: Mapping[str, int] | None = None) -> bool:
        """Tell whether each pool is within the tolerance, or has all but one whole agent."""
        found = self._counts.now() if counts is None else counts
        return all(
            abs(found.get(name, 0) - share) <= max(Fraction(1), TOLERANCE * share)
            for name, share in self.exact().items()
        )

    def is_over(self) -> bool:
        """Tell whether all have what they should, and nothing has moved for a while.

        No place is free, either: a pod that is still to be made would come after the next flip, and
        pass for a change of direction.
        """
        full = self._counts.now().total() == self._size
        return full and self.settled() and self._counts.still(STILL_SECONDS)

    def judge(self, flipped: float, until: float) -> Verdict:
        """Judge the time after a flip."""
        exact, seen = self.exact(), self._counts.at(flipped + LOOK_SECONDS)
        parts = [float(seen[name] / share) for name, share in exact.items()]
        return Verdict(
            distance=max(abs(part - 1) for part in parts),
            seconds=self._seconds(flipped, until),
            jain=sum(parts) ** 2 / (len(parts) * sum(part**2 for part in parts)),
            turns=self._counts.turns(flipped, until),
        )

    def _seconds(self, flipped: float, until: float) -> float | None:
        counts, since = self._counts.at(flipped), flipped
        within = self.settled(counts)
        for change in self._counts.changes(flipped, until):
            counts[change.pool] += change.by
            if self.settled(counts) != within:
                within, since = not within, change.at
        return since - flipped if within else None

    @property
    def excess(self) -> int:
        """How many pods there were beyond the quota at the worst moment."""
        return max(0, self._counts.most() - self._size)
