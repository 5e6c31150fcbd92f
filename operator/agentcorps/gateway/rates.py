"""Token buckets: how much of something each caller may have, by its key."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Name = TypeVar("Name", bound="Hashable")

MOST_KEYS: Final = 20_000
"""Callers that are remembered; whoever was quiet for longest is forgotten first."""


class _Bucket(NamedTuple):
    left: float
    at: float


class Rates(Generic[Name]):
    """A bucket for each key: full at first, emptied by ``take``, filled again as time passes."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        """Prepare.

        Args:
            per_second: What flows back into a bucket.
            burst: What a full bucket holds.
            clock: Monotonic seconds.
        """
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[Name, _Bucket] = OrderedDict()

    def take(self, key: Name) -> float:
        """Take one; returns 0, or the seconds after which there is one again."""
        now = self._clock()
        left = self._left(key, now)
        wait = 0.0 if left >= 1 else (1 - left) / self._per_second
        self._put(key, left if wait else left - 1, now)
        return wait

    def give_back(self, key: Name) -> None:
        """Undo one ``take``."""
        now = self._clock()
        self._put(key, min(self._burst, self._left(key, now) + 1), now)

    def _left(self, key: Name, now: float) -> float:
        known = self._buckets.get(key)
        if known is None:
            return self._burst
        return min(self._burst, known.left + max(0.0, now - known.at) * self._per_second)

    def _put(self, key: Name, left: float, now: float) -> None:
        if math.isclose(left, self._burst):
            self._buckets.pop(key, None)
            return
        self._buckets[key] = _Bucket(left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > MOST_KEYS:
            self._buckets.popitem(last=False)
