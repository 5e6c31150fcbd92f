"""Growing pauses with jitter, so that a fleet does not come back in step."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.2
LAST_SECONDS = 5.0


class Backoff:
    """Pauses between tries: 0.2, 0.4 … 5 seconds, each shortened at random by up to a half."""

    def __init__(self, first: float = FIRST_SECONDS, last: float = LAST_SECONDS) -> None:
        self._first = first
        self._last = last
        self._failures = 0

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait after one more failure.

        Args:
            at_least: What the gateway asked for (Retry-After), in seconds.
        """
        full = min(self._last, self._first * 2.0**self._failures)
        # Past the longest pause a higher power changes nothing, but would overflow in the end.
        self._failures = min(self._failures + 1, 16)
        jitter = random.uniform(0.5, 1.0)  # noqa: S311 -- spreads load, hides nothing
        return (at_least or 0.0) + full * jitter

    def reset(self) -> None:
        """Start again with short pauses: something succeeded."""
        self._failures = 0
