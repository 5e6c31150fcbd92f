"""Ends open polls in common.

A thousand idle agents end thirty polls a second. To wake for each of them costs more than to answer
it: caches are cold by then. So long polls end together, a little before their time.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

Poll = asyncio.Future[bool]
"""True: somebody has news for it; False: its time is over."""

PERIOD_SECONDS: Final = 0.5
LONG_SECONDS: Final = 5.0
"""Shorter polls end exactly in time: half a second would be too much off."""


def ebb(begin: float, seconds: float) -> float:
    """Return when a poll ends that begins then and is to last so long."""
    end = begin + seconds
    return end if seconds < LONG_SECONDS else end - end % PERIOD_SECONDS


class _Wave(NamedTuple):
    polls: set[Poll]
    timer: asyncio.TimerHandle


class Tide:
    """The open polls, by the moment at which they end."""

    def __init__(self) -> None:
        self._waves: dict[float, _Wave] = {}

    def __len__(self) -> int:
        return len(self._waves)

    async def wait(self, poll: Poll, seconds: float) -> bool:
        """Wait until a poll is woken; False when nobody did so in time.

        Args:
            poll: The poll. It is cancelled if whoever waits here is.
            seconds: How long to wait; a long wait may end ``PERIOD_SECONDS`` earlier.
        """
        due = self._join(poll, seconds)
        try:
            return await poll
        finally:
            self._leave(poll, due)

    def _join(self, poll: Poll, seconds: float) -> float:
        loop = asyncio.get_running_loop()
        due = ebb(loop.time(), seconds)
        wave = self._waves.get(due)
        if wave is None:
            wave = self._waves[due] = _Wave(set(), loop.call_at(due, self._end, due))
        wave.polls.add(poll)
        return due

    def _leave(self, poll: Poll, due: float) -> None:
        wave = self._waves.get(due)
        if wave is None:
            return
        wave.polls.discard(poll)
        if not wave.polls:
            wave.timer.cancel()
            del self._waves[due]

    def _end(self, due: float) -> None:
        for poll in self._waves.pop(due).polls:
            if not poll.done():
                poll.set_result(False)
