"""Waiting times between attempts that fail."""

from __future__ import annotations

from random import SystemRandom
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_RANDOM = SystemRandom()


def spread(seconds: float) -> float:
    """Between half of the time and all of it, so that processes do not come back in step."""
    return _RANDOM.uniform(seconds / 2, seconds)


class Backoff:
    """Doubling waiting times with an upper limit, in seconds."""

    def __init__(
        self, first: float = 0.2, limit: float = 10.0, jitter: Callable[[float], float] = spread
    ) -> None:
        self._first = first
        self._limit = limit
        self._jitter = jitter
        self._next = first

    def reset(self) -> None:
        """Start over after a success."""
        self._next = self._first

    def delay(self, at_least: float = 0.0) -> float:
        """The next waiting time; ``at_least`` is what the server asked for (Retry-After)."""
        delay = self._jitter(self._next)
        self._next = min(self._next * 2, self._limit)
        return max(delay, at_least)
