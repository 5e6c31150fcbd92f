"""Stops the work of an agent that has not heard of the gateway for too long.

The operator counts on it: it gives the tasks of an agent out of reach to others soon after.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SIGNS_WITHIN = 3
"""Calls are answered so often within the time of the fence that a living gateway is heard."""


class Fence:
    """Calls ``cut`` once after each silence of the gateway that lasts too long.

    Args:
        answered: When (monotonic) the gateway was last heard.
        cut: Cancels the work; gets the reason, for people.
    """

    def __init__(self, answered: Callable[[], float], cut: Callable[[str], None]) -> None:
        self._answered = answered
        self._cut = cut
        self._seconds: int | None = None
        self._told = asyncio.Event()

    def set(self, seconds: int | None) -> None:
        """Cut after so many seconds from now on; None: never."""
        self._seconds = seconds
        self._told.set()

    def within(self, longest: float) -> float:
        """Return how long (in seconds) at most to do without an answer, instead of ``longest``."""
        return longest if self._seconds is None else min(longest, self._seconds / SIGNS_WITHIN)

    async def watch(self) -> None:
        """Watch for ever."""
        cut_at: float | None = None
        while True:
            self._told.clear()
            heard = self._answered()
            left = None if self._seconds is None else heard + self._seconds - time.monotonic()
            if left is not None and left <= 0 and cut_at != heard:
                cut_at = heard
                self._cut(f"no answer of the gateway for {self._seconds} s (selfFenceSeconds)")
            await self._pause(left, cut=cut_at == heard)

    async def _pause(self, left: float | None, *, cut: bool) -> None:
        """Wait until it is time to look again: when the time is up, or for a sign of life."""
        if left is not None:
            left = 1.0 if cut else max(left, 0.0)
        try:
            async with asyncio.timeout(left):
                await self._told.wait()
        except TimeoutError:
            return
