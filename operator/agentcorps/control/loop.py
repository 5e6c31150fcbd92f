"""The one skeleton of every loop: kicked, coalesced, ticking as a backstop, errors isolated."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

FIRST_BACKOFF_SECONDS = 0.5
LAST_BACKOFF_SECONDS = 30.0
SHORTEST_PAUSE_SECONDS = 0.02
"""A deadline that has passed, and waits for a write in flight, must not make the loop spin."""


class Loop:
    """Runs ``step`` after each kick, and at the latest when the step asked for or the tick says.

    ``step`` returns the seconds until it wants to run again without a kick, or None for the tick.
    Kicks that arrive while it runs lead to one more run. A step that raises is logged and tried
    again with back-off; other loops do not notice.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[float | None]],
        *,
        tick: float,
        rest: float = 0.0,
        ran: Callable[[float, bool], None] | None = None,
    ) -> None:
        """Prepare a loop.

        Args:
            name: For logs.
            step: What to run.
            tick: Longest time between two runs, in seconds.
            rest: Shortest time between two runs, in seconds; a step that looks at everything and is
                kicked by every task must not run for each.
            ran: Told, after each step, the seconds that it took and whether it went well.
        """
        self.name = name
        self._step = step
        self._tick = tick
        self._rest = rest
        self._ran = ran
        self._kicked = asyncio.Event()
        self._failures = 0
        self._began: float | None = None

    def kick(self) -> None:
        """Ask for a run soon. Cheap; call it as often as you like, from the loop's own thread."""
        self._kicked.set()

    def step_age(self) -> float:
        """Seconds for which the present step has been running; 0 between two steps."""
        now = asyncio.get_running_loop().time()
        return 0.0 if self._began is None else now - self._began

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._kicked.clear()
            pause = await self._run_once()
            if self._failures:
                await asyncio.sleep(pause)
                continue
            await asyncio.sleep(self._rest)
            try:
                async with asyncio.timeout(pause):
                    await self._kicked.wait()
            except TimeoutError:
                continue

    async def _run_once(self) -> float:
        """One step; returns the seconds to wait for a kick."""
        clock = asyncio.get_running_loop()
        self._began = began = clock.time()
        went_well = False
        try:
            wanted = await self._step()
        except Exception:
            self._failures += 1
            pause = min(LAST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** (self._failures - 1))
            log.exception("loop step failed", loop=self.name, retry_in_seconds=pause)
            return pause
        else:
            went_well = True
        finally:
            self._began = None
            if self._ran is not None:
                self._ran(clock.time() - began, went_well)
        self._failures = 0
        return (
            self._tick if wanted is None else max(SHORTEST_PAUSE_SECONDS, min(self._tick, wanted))
        )


def soonest(*pauses: float | None) -> float | None:
    """Return the shortest of several pauses that a step may ask for; None where none does."""
    return min((pause for pause in pauses if pause is not None), default=None)
